/** What is around each page: navigation, what the connection is, who is signed in. */
import { ActionIcon, AppShell, Burger, Button, Group, Menu, useMantineColorScheme, type MantineColorScheme } from "@mantine/core";
import { useDisclosure, useMediaQuery } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { Link, Outlet, useRouterState } from "@tanstack/react-router";
import { Boxes, FolderGit2, KeyRound, Keyboard, LogOut, Monitor, Moon, Search, ServerCog, Sun, UserRound } from "lucide-react";
import { useEffect } from "react";

import { me } from "../api/queries";
import { Banners } from "./banners";
import { KeysHelp, useKeys } from "./keys";
import { Palette } from "./palette";
import { signOut } from "./sign-in";

export function Layout(): React.ReactNode {
  const [menu, { toggle, close }] = useDisclosure();
  const isNarrow = useMediaQuery("(max-width: 48em)") ?? false;
  const [palette, paletteControl] = useDisclosure();
  const [help, helpControl] = useDisclosure();
  const path = useRouterState({ select: (state) => state.location.pathname });
  useEffect(() => close(), [path, close]);
  useKeys({ palette: paletteControl.toggle, help: helpControl.toggle });
  return (
    <AppShell
      header={{ height: 48, collapsed: !isNarrow }}
      navbar={{ width: 216, breakpoint: "sm", collapsed: { mobile: !menu } }}
      padding={0}
    >
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <AppShell.Header px="xs" hidden={!isNarrow}>
        <Group h="100%" gap="xs">
          <Burger opened={menu} onClick={toggle} size="sm" aria-label="Navigation" aria-expanded={menu} />
          <Link to="/" className="brand">
            <img src="/favicon.svg" width={20} height={20} alt="" /> Amika
          </Link>
          <ActionIcon ml="auto" variant="subtle" color="gray" aria-label="Commands" onClick={paletteControl.open}>
            <Search size={18} />
          </ActionIcon>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="xs" aria-label="Navigation" style={isNarrow && !menu ? { visibility: "hidden" } : undefined}>
        <Link to="/" className="brand wide-only">
          <img src="/favicon.svg" width={22} height={22} alt="" /> Amika
        </Link>
        <Button
          variant="default"
          size="xs"
          my="xs"
          className="wide-only"
          justify="space-between"
          leftSection={<Search size={14} />}
          rightSection={<kbd>Ctrl K</kbd>}
          onClick={paletteControl.open}
          styles={{ label: { flex: 1 } }}
        >
          Commands
        </Button>
        <Navigation />
        <div style={{ marginTop: "auto" }}>
          <Bottom help={helpControl.open} />
        </div>
      </AppShell.Navbar>
      <AppShell.Main id="main" tabIndex={-1} style={{ outline: "none" }}>
        <Banners />
        <Outlet />
      </AppShell.Main>
      {palette && <Palette onClose={paletteControl.close} help={helpControl.open} />}
      {help && <KeysHelp onClose={helpControl.close} />}
    </AppShell>
  );
}

function Navigation() {
  const { data } = useQuery(me);
  return (
    <>
      <Link to="/" className="nav-link" activeOptions={{ exact: true }}>
        <Boxes size={16} /> Sandboxes
      </Link>
      <Link to="/repositories" className="nav-link">
        <FolderGit2 size={16} /> Repositories
      </Link>
      <Link to="/account" className="nav-link">
        <KeyRound size={16} /> Keys and secrets
      </Link>
      {data?.role === "admin" && (
        <Link to="/admin" className="nav-link">
          <ServerCog size={16} /> Administration
        </Link>
      )}
    </>
  );
}

const SCHEMES = [
  ["auto", "As the system", Monitor],
  ["light", "Light", Sun],
  ["dark", "Dark", Moon],
] as const;

function Bottom({ help }: { help: () => void }) {
  const { data } = useQuery(me);
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <Menu position="top-start" width={200} hideDetached={false}>
      <Menu.Target>
        <Button
          variant="subtle"
          color="gray"
          fullWidth
          justify="flex-start"
          leftSection={<UserRound size={16} />}
          c="var(--mantine-color-text)"
          aria-label={`Menu of ${data?.name ?? "the user"}`}
        >
          <span className="clip">{data?.name ?? "…"}</span>
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          {data?.email ?? data?.name} · {data?.role}
        </Menu.Label>
        <Menu.Item leftSection={<Keyboard size={14} />} onClick={help} rightSection={<kbd>?</kbd>}>
          Keys
        </Menu.Item>
        <Menu.Divider />
        <Menu.Label>Colors</Menu.Label>
        <Menu.RadioGroup value={colorScheme} onChange={(scheme) => setColorScheme(scheme as MantineColorScheme)}>
          {SCHEMES.map(([scheme, label, Icon]) => (
            <Menu.RadioItem key={scheme} value={scheme} closeMenuOnClick rightSection={<Icon size={14} />}>
              {label}
            </Menu.RadioItem>
          ))}
        </Menu.RadioGroup>
        <Menu.Divider />
        <Menu.Item leftSection={<LogOut size={14} />} onClick={() => void signOut()}>
          Sign out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
