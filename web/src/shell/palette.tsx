/** All that can be gone to and done, by typing. */
import { Modal, TextInput, useMantineColorScheme } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useId, useMemo, useState, type KeyboardEvent } from "react";

import { me, sandboxes } from "../api/queries";
import { start, stop } from "../sandboxes/actions";
import { signOut } from "./sign-in";

interface Item {
  label: string;
  hint: string;
  run: () => void;
}

export function Palette({ onClose, help }: { onClose: () => void; help: () => void }) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const items = useItems(help);
  const id = useId();
  const found = useMemo(() => {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (item: Item) => words.every((word) => `${item.label} ${item.hint}`.toLowerCase().includes(word));
    return items.filter(fits).slice(0, 12);
  }, [items, text]);
  const run = (item: Item | undefined) => {
    if (!item) return;
    onClose();
    item.run();
  };
  const pressed = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      setAt((now) => (found.length === 0 ? 0 : (now + step + found.length) % found.length));
    } else if (event.key === "Enter") {
      event.preventDefault();
      run(found[at]);
    }
  };
  return (
    <Modal opened onClose={onClose} withCloseButton={false} size={560} padding="xs" yOffset="12vh" centered={false} title={null} aria-label="Commands">
      <TextInput
        aria-label="Command or sandbox"
        placeholder="Type a command or the name of a sandbox"
        value={text}
        onChange={(event) => {
          setText(event.currentTarget.value);
          setAt(0);
        }}
        onKeyDown={pressed}
        data-autofocus
        size="md"
        role="combobox"
        aria-expanded
        aria-controls={id}
        aria-activedescendant={found[at] ? `${id}-${at}` : undefined}
      />
      <div role="listbox" id={id} aria-label="Commands" style={{ marginTop: 8 }}>
        {found.map((item, index) => (
          <div
            key={item.label}
            id={`${id}-${index}`}
            role="option"
            aria-selected={index === at}
            tabIndex={-1}
            className="palette-item"
            onMouseMove={() => setAt(index)}
            onClick={() => run(item)}
            onKeyDown={pressed}
          >
            <span className="clip">{item.label}</span>
            <span className="dim clip">{item.hint}</span>
          </div>
        ))}
        {found.length === 0 && (
          <div role="option" aria-selected={false} aria-disabled className="palette-item" tabIndex={-1}>
            Nothing is called that
          </div>
        )}
      </div>
    </Modal>
  );
}

function useItems(help: () => void): Item[] {
  const navigate = useNavigate();
  const who = useQuery(me);
  const all = useQuery(sandboxes);
  const { setColorScheme } = useMantineColorScheme();
  return useMemo(() => {
    const go = (label: string, to: string, hint = ""): Item => ({ label, hint, run: () => void navigate({ to }) });
    const places = [
      go("Make a sandbox", "/new", "c"),
      go("Sandboxes", "/", "g s"),
      go("Repositories", "/repositories", "g r"),
      go("Keys and secrets", "/account", "g a"),
    ];
    if (who.data?.role === "admin") {
      places.push(go("Administration: users", "/admin", "g d"));
      for (const [word, to] of [["audit", "/admin/audit"], ["engine and disk", "/admin/system"], ["volumes", "/admin/volumes"]] as const) {
        places.push(go(`Administration: ${word}`, to));
      }
    }
    const each = (all.data ?? []).flatMap((it): Item[] => {
      const page = `/sandboxes/${it.id}`;
      const items = [go(it.name, page, "open")];
      if (it.state === "started") {
        items.push(go(`${it.name}: terminal`, `${page}/terminal`), go(`${it.name}: logs`, `${page}/logs`));
        items.push({ label: `${it.name}: stop`, hint: "", run: () => void stop(it) });
      }
      if (it.state === "stopped" || it.state === "failed") {
        items.push({ label: `${it.name}: start`, hint: "", run: () => void start(it) });
      }
      return items;
    });
    const rest: Item[] = [
      { label: "Colors: light", hint: "", run: () => setColorScheme("light") },
      { label: "Colors: dark", hint: "", run: () => setColorScheme("dark") },
      { label: "Colors: as the system", hint: "", run: () => setColorScheme("auto") },
      { label: "Keys", hint: "?", run: help },
      { label: "Sign out", hint: "", run: () => void signOut() },
    ];
    return [...places, ...each, ...rest];
  }, [navigate, who.data, all.data, setColorScheme, help]);
}
