import { Button, Group, SegmentedControl, Switch, TextInput } from "@mantine/core";
import { Download, Search } from "lucide-react";
import { useState } from "react";

import { open } from "../../api/client";
import { failed } from "../../ui/notify";
import { useSandbox } from "./context";
import { LogView } from "./log-view";

const SOURCES = [
  { value: "container", label: "Program" },
  { value: "setup", label: "Setup" },
  { value: "opencode", label: "OpenCode" },
  { value: "amikad", label: "amikad" },
];

export function Logs(): React.ReactNode {
  const it = useSandbox();
  const [source, setSource] = useState(it.setup_status === "setup-failed" ? "setup" : "container");
  const [follow, setFollow] = useState(true);
  const [search, setSearch] = useState("");
  const download = async () => {
    try {
      const blob = await (await open(`/sandboxes/${it.id}/logs?source=${source}`)).blob();
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([blob], { type: "text/plain" }));
      link.download = `${it.name}-${source}.log`;
      link.click();
      URL.revokeObjectURL(link.href);
    } catch (error) {
      failed("The log was not saved", error);
    }
  };
  return (
    <>
      <Group mb="sm" gap="sm">
        <SegmentedControl size="xs" aria-label="Source" data={SOURCES} value={source} onChange={setSource} />
        <TextInput size="xs" aria-label="Search the log" placeholder="Search" leftSection={<Search size={13} />} value={search} onChange={(event) => setSearch(event.currentTarget.value)} style={{ flex: "1 1 160px" }} />
        <Switch size="xs" label="Follow" checked={follow} onChange={(event) => setFollow(event.currentTarget.checked)} />
        <Button size="xs" variant="default" leftSection={<Download size={13} />} onClick={() => void download()}>
          Save
        </Button>
      </Group>
      <div className="card">
        {/* Another start of the sandbox is another stream. */}
        <LogView key={`${source}${it.state === "started"}`} id={it.id} source={source} follow={follow && it.state !== "stopped"} search={search} height="max(300px, calc(100dvh - 280px))" label="Log" />
      </div>
    </>
  );
}
