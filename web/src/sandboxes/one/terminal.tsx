import "@xterm/xterm/css/xterm.css";

import { Button, Group, Text } from "@mantine/core";
import { FitAddon } from "@xterm/addon-fit";
import { WebLinksAddon } from "@xterm/addon-web-links";
import { Terminal as Xterm } from "@xterm/xterm";
import { useEffect, useRef, useState } from "react";

import { Problem } from "../../ui/problem";
import { TerminalSocket, type SocketState } from "./socket";

const THEME = { background: "#111317", foreground: "#d8dbe0", cursor: "#91a7ff", selectionBackground: "#3b5bdb88" };

/** Only what a person would open by hand; no other scheme that a program of the sandbox names. */
function openLink(_event: MouseEvent, uri: string) {
  if (/^https?:\/\//i.test(uri)) window.open(uri, "_blank", "noopener,noreferrer");
}

export default function Terminal({ id, session, label }: { id: string; session: string; label: string }) {
  const box = useRef<HTMLDivElement>(null);
  const [state, setState] = useState<SocketState>({ kind: "connecting" });
  const [run, setRun] = useState(0);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const terminal = new Xterm({
      fontFamily: 'ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace',
      fontSize: 13,
      theme: THEME,
      scrollback: 5000,
      screenReaderMode: true,
      linkHandler: { activate: openLink, allowNonHttpProtocols: false },
    });
    const fit = new FitAddon();
    terminal.loadAddon(fit);
    terminal.loadAddon(new WebLinksAddon(openLink));
    terminal.open(element);
    fit.fit();
    terminal.focus();
    const socket = new TerminalSocket(id, session, {
      bytes: (bytes) => terminal.write(bytes),
      state: (now) => {
        // The server shows the screen anew to whoever comes again.
        if (now.kind === "open") terminal.reset();
        setState(now);
      },
      size: () => [terminal.cols, terminal.rows],
    });
    terminal.onData((text) => socket.send(text));
    terminal.onResize(({ cols, rows }) => socket.resize(cols, rows));
    terminal.attachCustomKeyEventHandler((event) => handleKey(event, terminal));
    const observer = new ResizeObserver(() => fit.fit());
    observer.observe(element);
    return () => {
      observer.disconnect();
      socket.close();
      terminal.dispose();
    };
  }, [id, session, run]);
  return (
    <div className="card">
      <Status state={state} again={() => setRun((now) => now + 1)} />
      <div className="terminal-box" ref={box} role="group" aria-label={label} />
    </div>
  );
}

/** Copy and paste as terminals have them, and a way out for whoever has no mouse. */
function handleKey(event: KeyboardEvent, terminal: Xterm): boolean {
  if (event.type !== "keydown" || !event.ctrlKey || !event.shiftKey) return true;
  if (event.code === "KeyC" && terminal.hasSelection()) {
    event.preventDefault();
    void navigator.clipboard.writeText(terminal.getSelection());
    return false;
  }
  // The browser pastes by itself; xterm takes the event.
  if (event.code === "KeyV") return false;
  if (event.key === "Escape") {
    event.preventDefault();
    terminal.blur();
    document.getElementById("main")?.focus();
    return false;
  }
  return true;
}

function Status({ state, again }: { state: SocketState; again: () => void }) {
  if (state.kind === "open") return null;
  if (state.kind === "refused") return <Problem error={state.error} retry={again} />;
  return (
    <Group px="sm" py={6} gap="sm" role="status">
      <Text size="sm">
        {state.kind === "connecting" && "Connecting…"}
        {state.kind === "lost" && "The connection is lost. The shell goes on in the sandbox; it is tried again."}
        {state.kind === "ended" && `The shell ended${state.code === null ? "" : ` with exit code ${state.code}`}.`}
      </Text>
      {state.kind === "ended" && (
        <Button size="xs" variant="default" onClick={again}>
          New shell
        </Button>
      )}
    </Group>
  );
}
