/** Signing in: by a link's token or by a key. */
import { Button, Modal, PasswordInput, Text } from "@mantine/core";
import { useState, type SyntheticEvent } from "react";

import { api, ask } from "../api/client";
import { client } from "../api/queries";
import * as session from "../api/session";
import { Problem } from "../ui/problem";

const USER = "amika.user";

/** The token of a sign-in link, out of the address: it is good once, and belongs in no history. */
export function takeToken(): string | null {
  const token = new URLSearchParams(location.hash.slice(1)).get("sign-in");
  if (token !== null) history.replaceState(history.state, "", location.pathname + location.search);
  return token;
}

export async function signIn(by: { token: string } | { api_key: string }) {
  const created = await ask(api.POST("/api/v0beta1/session", { body: by }));
  // What another person saw is not shown to this one.
  const before = localStorage.getItem(USER);
  if (before !== created.user_id) client.clear();
  localStorage.setItem(USER, created.user_id);
  session.begin(created.secret);
}

export async function signOut() {
  try {
    await ask(api.DELETE("/api/v0beta1/session", {}));
  } finally {
    session.end();
    client.clear();
  }
}

/** The token of a link, or a key, as it was pasted. */
export function credential(text: string): { token: string } | { api_key: string } {
  const token = /(aml_[A-Za-z0-9]+)/.exec(text)?.[1];
  return token === undefined ? { api_key: text.trim() } : { token };
}

function Form({ failedBefore }: { failedBefore?: unknown }) {
  const [text, setText] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(failedBefore ?? null);
  const submit = async (event: SyntheticEvent) => {
    event.preventDefault();
    setBusy(true);
    try {
      await signIn(credential(text));
    } catch (caught) {
      setError(caught);
      setBusy(false);
    }
  };
  return (
    <form onSubmit={submit} className="stack">
      {error !== null && <Problem error={error} />}
      <PasswordInput
        label="API key or sign-in link"
        description="A key begins with amk_; a link is good once, for 10 minutes."
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        autoComplete="current-password"
        required
        data-autofocus
        visibilityToggleButtonProps={{ "aria-label": "Show what was typed" }}
      />
      <Button type="submit" loading={busy} fullWidth>
        Sign in
      </Button>
    </form>
  );
}

export function SignInPage({ failedBefore }: { failedBefore?: unknown }) {
  return (
    <main style={{ display: "grid", placeItems: "center", minHeight: "100dvh", padding: 16 }}>
      <div className="card" style={{ width: "min(400px, 100%)", padding: 24 }}>
        <h1 className="brand" style={{ margin: "0 0 4px", padding: 0, fontSize: 20 }}>
          <img src="/favicon.svg" width={28} height={28} alt="" /> Amika
        </h1>
        <Text size="sm" c="dimmed" mb="md">
          Sandboxes for coding agents. An administrator gives you a link; `amika server` prints the first one.
        </Text>
        <Form failedBefore={failedBefore} />
      </div>
    </main>
  );
}

/** Over the page, which stays with all that was typed into it. */
export function SignInAgain() {
  return (
    <Modal opened onClose={() => session.end()} title="You were signed out">
      <Text size="sm" mb="sm">
        The session is over: after 12 hours without a request, after 7 days in all, or because it was ended elsewhere. What
        you typed is still here.
      </Text>
      <Form />
    </Modal>
  );
}
