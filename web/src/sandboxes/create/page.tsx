/** A new sandbox: what is asked for, what would come of it, and how the same is done without a page. */
import { Button, Group } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useState, type SyntheticEvent } from "react";

import { api, ask } from "../../api/client";
import { failure } from "../../api/failure";
import { put } from "../../api/live";
import { client, credentials, sandboxes } from "../../api/queries";
import { EMPTY, request, wrongTime, type Form } from "../../lib/form";
import { Page, useTitle } from "../../ui/basics";
import { Problem } from "../../ui/problem";
import { AgentFields } from "./agent-fields";
import { MachineFields } from "./machine-fields";
import { Plan } from "./plan";
import { RepositoryFields } from "./repository-fields";
import { SameElsewhere } from "./same-elsewhere";
import { SetupFields } from "./setup-fields";
import { usePlan } from "./use-plan";

export interface Fields {
  form: Form;
  set: (change: Partial<Form>) => void;
  /** What the server says of a member of the request. */
  error: (field: string) => string | undefined;
}

/** Members that have a field of their own on the page. */
const SHOWN = ["/name", "/repo_url", "/branch", "/new_branch_name", "/preset", "/image", "/size", "/env_vars", "/secret_env_vars", "/agent_credentials", "/setup_script_text", "/ports", "/auto_stop_interval", "/auto_delete_interval", "/initial_prompt", "/agent"];

export function CreatePage(): React.ReactNode {
  useTitle("New sandbox");
  const { repo } = useSearch({ from: "/new" });
  const navigate = useNavigate();
  const signIns = useQuery(credentials);
  const [form, setForm] = useState<Form>({ ...EMPTY, repo: repo ?? "" });
  const [busy, setBusy] = useState(false);
  const [refused, setRefused] = useState<unknown>(null);
  const body = request(form, signIns.data ?? []);
  const plan = usePlan(body);
  const told = refused ?? plan.error;
  const failed = told == null ? null : failure(told);
  const inField = failed !== null && SHOWN.some((field) => failed.of(field) !== undefined);
  const fields: Fields = {
    form,
    set: (change) => {
      setForm((now) => ({ ...now, ...change }));
      setRefused(null);
    },
    error: (field) => failed?.of(field),
  };
  // Whoever uses the keyboard goes on where something is wrong.
  useEffect(() => {
    if (refused !== null) document.querySelector<HTMLElement>("form [aria-invalid=true]")?.focus();
  }, [refused]);
  const submit = async (event: SyntheticEvent) => {
    event.preventDefault();
    if (wrongTime(form.stop, false) ?? wrongTime(form.remove, true)) return;
    setBusy(true);
    try {
      const made = await ask(api.POST("/api/v0beta1/sandboxes", { body }));
      client.setQueryData(sandboxes.queryKey, (known) => known && put(known, made));
      await navigate({ to: "/sandboxes/$ref", params: { ref: made.id } });
    } catch (error) {
      setRefused(error);
      setBusy(false);
    }
  };
  return (
    <Page title="New sandbox">
      <form onSubmit={submit} className="columns" noValidate>
        <div className="stack">
          <RepositoryFields {...fields} />
          <MachineFields {...fields} />
          <AgentFields {...fields} signIns={signIns.data ?? []} />
          <SetupFields {...fields} />
          {refused !== null && !inField && <Problem error={refused} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={() => history.back()}>
              Cancel
            </Button>
            <Button type="submit" loading={busy}>
              Create sandbox
            </Button>
          </Group>
        </div>
        <div className="stack" style={{ position: "sticky", top: 16 }}>
          <Plan plan={plan} problem={inField || refused !== null ? null : plan.error} />
          <SameElsewhere body={body} />
        </div>
      </form>
    </Page>
  );
}
