/** Small things that every page has. */
import { ActionIcon, Anchor, Code, Text, Title, Tooltip } from "@mantine/core";
import { useClipboard } from "@mantine/hooks";
import { Check, Copy as CopyIcon } from "lucide-react";
import { useEffect, type ReactNode } from "react";

import type { Sandbox } from "../api/types";
import { state } from "../lib/words";

export function Page({ title, actions, children }: { title: ReactNode; actions?: ReactNode; children: ReactNode }) {
  return (
    <div className="page">
      <div className="page-head">
        <Title order={1}>{title}</Title>
        {actions !== undefined && <div className="actions">{actions}</div>}
      </div>
      {children}
    </div>
  );
}

/** The title of the browser's window. */
export function useTitle(title: string) {
  useEffect(() => {
    document.title = title === "" ? "Amika" : `${title} · Amika`;
  }, [title]);
}

export function Card({
  title,
  aside,
  children,
  flush = false,
}: {
  title: string;
  aside?: ReactNode;
  children: ReactNode;
  flush?: boolean;
}) {
  return (
    <section className="card" aria-label={title}>
      <header>
        <Title order={2}>{title}</Title>
        {aside}
      </header>
      {flush ? children : <div className="body">{children}</div>}
    </section>
  );
}

export function State({ sandbox }: { sandbox: Pick<Sandbox, "state" | "setup_status"> }) {
  const { word, tone } = state(sandbox);
  return (
    <span className="state" data-tone={tone}>
      {word}
    </span>
  );
}

export function Copy({ text, label }: { text: string; label: string }) {
  const clipboard = useClipboard({ timeout: 1500 });
  return (
    <Tooltip label={clipboard.copied ? "Copied" : label}>
      <ActionIcon variant="subtle" color="gray" aria-label={label} onClick={() => clipboard.copy(text)}>
        {clipboard.copied ? <Check size={15} /> : <CopyIcon size={15} />}
      </ActionIcon>
    </Tooltip>
  );
}

export function CodeBlock({ text, label }: { text: string; label: string }) {
  return (
    <div className="code">
      {/* A long command may be scrolled, by keys too. */}
      <pre>{text}</pre>
      <Copy text={text} label={label} />
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div style={{ padding: "40px 20px", textAlign: "center" }}>
      <Text fw={600} mb={6}>
        {title}
      </Text>
      <Text size="sm" c="dimmed" component="div" maw={520} mx="auto">
        {children}
      </Text>
    </div>
  );
}

/** A link to somewhere else, opened apart from this page. */
export function External({ href, children }: { href: string; children: ReactNode }) {
  return (
    <Anchor href={href} target="_blank" rel="noreferrer noopener" size="sm">
      {children}
    </Anchor>
  );
}

export function Mono({ children }: { children: ReactNode }) {
  return <Code bg="transparent" p={0} fz={12} c="inherit">{children}</Code>;
}
