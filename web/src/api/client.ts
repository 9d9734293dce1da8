import createClient, { type Middleware } from "openapi-fetch";

import { Failure } from "./failure";
import type { paths } from "./schema";
import * as session from "./session";

export const PREFIX = "/api/v0beta1";
export const SESSION_HEADER = "X-Amika-Session";

const signed: Middleware = {
  onRequest({ request }) {
    const secret = session.secret();
    if (secret !== null) request.headers.set(SESSION_HEADER, secret);
    return request;
  },
  onResponse({ request, response }) {
    if (response.status === 401) session.expire(request.headers.get(SESSION_HEADER));
  },
};

export const api = createClient<paths>({ baseUrl: location.origin });
api.use(signed);

/** The data of an answer, or what is thrown is a `Failure`. */
export async function ask<T>(answer: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  let settled;
  try {
    settled = await answer;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw Failure.unreachable();
  }
  const { data, error, response } = settled;
  if (!response.ok) throw new Failure(response.status, error ?? {});
  return data as T;
}

/** A request for a stream, by `fetch`: `EventSource` takes no header. */
export async function open(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  const secret = session.secret();
  if (secret !== null) headers.set(SESSION_HEADER, secret);
  let response;
  try {
    response = await fetch(PREFIX + path, { ...init, headers });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw Failure.unreachable();
  }
  if (response.status === 401) session.expire(secret);
  if (!response.ok) throw await Failure.of(response);
  return response;
}
