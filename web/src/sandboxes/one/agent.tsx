/** Talking with the agent in a sandbox: sessions, prompts, answers as they come. */
import { Button, Group, NativeSelect, Textarea } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Send } from "lucide-react";
import { useEffect, useRef, useState, type SyntheticEvent } from "react";

import { agentSessions, client, conversation } from "../../api/queries";
import { exact } from "../../lib/time";
import { Empty } from "../../ui/basics";
import { Problem } from "../../ui/problem";
import { send, type Turn } from "./agent-turn";
import { useSandbox } from "./context";

const AGENTS = [
  { value: "", label: "Agent that is signed in" },
  { value: "claude", label: "Claude Code" },
  { value: "codex", label: "Codex" },
  { value: "opencode", label: "OpenCode" },
];

export function Agent(): React.ReactNode {
  const it = useSandbox();
  const sessions = useQuery(agentSessions(it.id));
  const [chosen, setChosen] = useState<string | null>(null);
  const [message, setMessage] = useState("");
  const [agent, setAgent] = useState("");
  const [turn, setTurn] = useState<Turn | null>(null);
  const stop = useRef<AbortController | null>(null);
  const open = chosen ?? sessions.data?.[0]?.id ?? "new";
  const said = useQuery({ ...conversation(open), enabled: open !== "new" });
  const bottom = useRef<HTMLDivElement>(null);
  useEffect(() => {
    bottom.current?.scrollIntoView({ block: "nearest" });
  }, [turn, said.data]);
  useEffect(() => () => stop.current?.abort(), []);
  const isBusy = turn !== null && turn.state !== "failed";
  const submit = async (event: SyntheticEvent) => {
    event.preventDefault();
    if (message.trim() === "" || isBusy) return;
    stop.current = new AbortController();
    const body = { message, sandbox_id: it.id, ...(open === "new" ? { new_session: true } : { session_id: open }), ...(agent === "" || open !== "new" ? {} : { agent }) };
    const session = await send(body, setTurn, stop.current.signal);
    if (session === null) return;
    setMessage("");
    setChosen(session);
    await Promise.all([client.invalidateQueries({ queryKey: ["agent-sessions", it.id] }), client.invalidateQueries({ queryKey: ["conversation", session] })]);
    setTurn(null);
  };
  return (
    <div className="stack" style={{ maxWidth: 860 }}>
      <Group gap="sm">
        <NativeSelect
          aria-label="Session"
          value={open}
          onChange={(event) => setChosen(event.currentTarget.value)}
          data={[
            { value: "new", label: "New session" },
            ...(sessions.data ?? []).map((one) => ({ value: one.id, label: `${one.agent_name} · ${exact(Date.parse(one.started_at))}` })),
          ]}
        />
        {open === "new" && <NativeSelect aria-label="Agent" value={agent} onChange={(event) => setAgent(event.currentTarget.value)} data={AGENTS} />}
      </Group>
      {sessions.error !== null && <Problem error={sessions.error} />}
      {said.error !== null && <Problem error={said.error} />}
      <div className="stack" role="log" aria-label="Conversation">
        {open === "new" && turn === null && (
          <div className="card">
            <Empty title="Say what is to be done">The agent works in the sandbox, on its clone of the repository. It goes on when this page is closed.</Empty>
          </div>
        )}
        {open !== "new" &&
          said.data?.messages.map((one, index) => (
            <div className="message" data-role={one.role} key={index} dir="auto">
              {one.content}
            </div>
          ))}
        {turn !== null && <Running turn={turn} />}
        <div ref={bottom} />
      </div>
      <form onSubmit={submit}>
        <Textarea
          label="Message"
          autosize
          minRows={3}
          maxRows={14}
          value={message}
          onChange={(event) => setMessage(event.currentTarget.value)}
          disabled={it.state !== "started"}
          description={it.state === "started" ? "Ctrl Enter sends it" : "Start the sandbox to go on"}
          onKeyDown={(event) => {
            if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void submit(event);
          }}
        />
        <Group justify="flex-end" mt="xs">
          <Button type="submit" leftSection={<Send size={14} />} loading={isBusy} disabled={it.state !== "started" || message.trim() === ""}>
            Send
          </Button>
        </Group>
      </form>
    </div>
  );
}

function Running({ turn }: { turn: Turn }) {
  return (
    <>
      <div className="message" data-role="user" dir="auto">
        {turn.message}
      </div>
      {turn.state === "failed" ? (
        <>
          <Problem error={turn.error} />
          {turn.isSignedOut && (
            <p style={{ fontSize: 13 }}>
              No agent in this sandbox is signed in. Add a sign-in under <Link to="/account">Keys and secrets</Link> and choose it when a sandbox
              is made, or sign in by its <Link to="/sandboxes/$ref/terminal" from="/sandboxes/$ref">terminal</Link>.
            </p>
          )}
        </>
      ) : (
        <div className="message" data-role="assistant" dir="auto" aria-busy>
          {turn.text === "" ? <span className="state" data-tone="busy">{turn.phase}</span> : turn.text}
        </div>
      )}
    </>
  );
}
