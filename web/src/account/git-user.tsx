/** Who commits in new clones. */
import { Button, Group, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState, type SyntheticEvent } from "react";

import { api, ask } from "../api/client";
import { failure } from "../api/failure";
import { client, gitUser } from "../api/queries";
import type { Schemas } from "../api/types";
import { Card } from "../ui/basics";
import { done } from "../ui/notify";
import { Problem } from "../ui/problem";

export function GitUser() {
  const { data, error } = useQuery(gitUser);
  return (
    <Card title="Author of commits">
      {error !== null && <Problem error={error} />}
      {data !== undefined && <Form key={JSON.stringify(data)} first={data} />}
    </Card>
  );
}

function Form({ first }: { first: Schemas["GitUserSettings"] }) {
  const [name, setName] = useState(first.name ?? "");
  const [email, setEmail] = useState(first.email ?? "");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const told = error === null ? null : failure(error);
  const submit = async (event: SyntheticEvent) => {
    event.preventDefault();
    setBusy(true);
    try {
      const body = { name: name.trim() === "" ? null : name, email: email.trim() === "" ? null : email };
      const saved = await ask(api.POST("/api/v0beta1/git-user-settings", { body }));
      client.setQueryData(gitUser.queryKey, saved);
      setError(null);
      done("New clones commit as that");
    } catch (caught) {
      setError(caught);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form onSubmit={submit} className="stack">
      {told !== null && told.details.length === 0 && <Problem error={told} />}
      <div className="pair">
        <TextInput label="Name" value={name} error={told?.of("/name")} onChange={(event) => setName(event.currentTarget.value)} autoComplete="name" />
        <TextInput label="Email" value={email} error={told?.of("/email")} onChange={(event) => setEmail(event.currentTarget.value)} autoComplete="email" />
      </div>
      <Group justify="flex-end">
        <Button type="submit" variant="default" loading={busy}>
          Save author
        </Button>
      </Group>
    </form>
  );
}
