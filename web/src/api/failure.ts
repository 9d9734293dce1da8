import type { Schemas } from "./types";

/** A request that failed: with the server's own words, or because no server answered. */
export class Failure extends Error {
  readonly status: number;
  readonly code: string;
  readonly hints: string[];
  readonly details: { field: string; message: string }[];
  readonly traceId: string | null;

  constructor(status: number, body: Partial<Schemas["ErrorBody"]>) {
    super(body.message ?? `the server answered with status ${status}`);
    this.name = "Failure";
    this.status = status;
    this.code = body.code ?? "internal";
    this.hints = body.hints ?? [];
    this.details = body.details ?? [];
    this.traceId = body.trace_id ?? null;
  }

  /** No answer came: the server is gone, or the way to it. */
  static unreachable(): Failure {
    return new Failure(0, { code: "unreachable", message: "the server does not answer" });
  }

  static async of(response: Response): Promise<Failure> {
    let body: unknown = null;
    try {
      body = await response.json();
    } catch {
      // Something between page and server answered.
    }
    return new Failure(response.status, body ?? {});
  }

  /** What is said of one member of the request's body, as `/ports/0`; of what is in it too. */
  of(field: string): string | undefined {
    const found = this.details.find((it) => it.field === field || it.field.startsWith(`${field}/`));
    if (!found) return undefined;
    // The field says itself which it is.
    const said = found.message.replace(/^--[a-z-]+ "[^"]*": /, "").replace(/^\/\S+( is |: )/, (_, join: string) => (join === ": " ? "" : "is "));
    return sentence(said);
  }
}

export function failure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  return new Failure(-1, { code: "page", message: error instanceof Error ? error.message : String(error) });
}

/** The server's sentences begin in lower case, as a command line's do. */
export function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
