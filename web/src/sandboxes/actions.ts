/** What is done to a sandbox from several places. What comes of it the event stream tells. */
import { api, ask } from "../api/client";
import { client, sandboxes } from "../api/queries";
import { put } from "../api/live";
import type { Sandbox, Schemas } from "../api/types";
import { failed } from "../ui/notify";

type Ref = Pick<Sandbox, "id" | "name">;
const path = (it: Ref) => ({ params: { path: { ref: it.id } } });

async function attempt(what: string, doing: () => Promise<unknown>): Promise<boolean> {
  try {
    await doing();
    return true;
  } catch (error) {
    failed(what, error);
    return false;
  }
}

export const start = (it: Ref) =>
  attempt(`${it.name} was not started`, () => ask(api.POST("/api/v0beta1/sandboxes/{ref}/start", path(it))));

export const stop = (it: Ref) =>
  attempt(`${it.name} was not stopped`, () => ask(api.POST("/api/v0beta1/sandboxes/{ref}/stop", path(it))));

export const restart = (it: Ref) =>
  attempt(`${it.name} was not restarted`, () => ask(api.POST("/api/v0beta1/sandboxes/{ref}/restart", path(it))));

export async function change(it: Ref, body: Schemas["ChangeSandbox"]) {
  const changed = await ask(api.PATCH("/api/v0beta1/sandboxes/{ref}", { ...path(it), body }));
  client.setQueryData(sandboxes.queryKey, (known) => known && put(known, changed));
  return changed;
}

/** `clean`: refused with what would be lost where there is anything; `keep`: what holds work stays; `all`: nothing does. */
export function remove(it: Ref, how: "clean" | "keep" | "all") {
  const query = how === "clean" ? { if_clean: true } : how === "all" ? { force: true } : {};
  return ask(api.DELETE("/api/v0beta1/sandboxes/{ref}", { params: { path: { ref: it.id }, query } }));
}

/** Opens a port at an origin of its own. The window is opened while the click still counts. */
export async function openPort(it: Ref, port: number) {
  const opened = window.open("about:blank", "_blank");
  const isOpen = await attempt(`Port ${port} was not opened`, async () => {
    const { url } = await ask(api.POST("/api/v0beta1/tickets", { body: { sandbox: it.id, port } }));
    if (opened === null || url == null) throw new Error("the browser opened no window");
    // What is opened has no way back to this page.
    opened.opener = null;
    opened.location.replace(url);
  });
  if (!isOpen) opened?.close();
}

export const cancel = (operation: string) =>
  attempt("It was not canceled", () =>
    ask(api.DELETE("/api/v0beta1/operations/{id}", { params: { path: { id: operation } } })),
  );
