/** The bytes of a terminal, by a WebSocket that comes again to the same shell. */
import { api, ask, PREFIX } from "../../api/client";
import { Failure } from "../../api/failure";

export type SocketState = { kind: "connecting" } | { kind: "open" } | { kind: "lost" } | { kind: "ended"; code: number | null } | { kind: "refused"; error: unknown };

interface Handlers {
  bytes(bytes: Uint8Array): void;
  state(state: SocketState): void;
  size(): [columns: number, rows: number];
}

const WAITS = [300, 1000, 2000, 5000];

export class TerminalSocket {
  readonly #path: string;
  readonly #session: string;
  readonly #handlers: Handlers;
  #socket: WebSocket | null = null;
  #failed = 0;
  #isClosed = false;
  #exit: number | null = null;

  constructor(id: string, session: string, handlers: Handlers) {
    this.#path = `/sandboxes/${id}/terminal`;
    this.#session = session;
    this.#handlers = handlers;
    void this.#connect();
  }

  async #connect() {
    this.#handlers.state({ kind: this.#failed === 0 ? "connecting" : "lost" });
    let ticket;
    try {
      // A WebSocket of a browser's takes no header: a ticket, good once, stands for the session.
      ({ ticket } = await ask(api.POST("/api/v0beta1/tickets", { body: { path: this.#path } })));
    } catch (error) {
      if (error instanceof Failure && error.status >= 400 && error.status < 500) this.#handlers.state({ kind: "refused", error });
      else this.#again();
      return;
    }
    if (this.#isClosed) return;
    const [columns, rows] = this.#handlers.size();
    const query = new URLSearchParams({ session: this.#session, columns: String(columns), rows: String(rows) });
    const url = new URL(`${PREFIX}${this.#path}?${query}`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url, ["amika", ticket]);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    socket.onopen = () => {
      this.#failed = 0;
      this.#handlers.state({ kind: "open" });
    };
    socket.onmessage = ({ data }: MessageEvent<ArrayBuffer | string>) => {
      if (typeof data !== "string") this.#handlers.bytes(new Uint8Array(data));
      else this.#exit = (JSON.parse(data) as { exit_code?: number }).exit_code ?? this.#exit;
    };
    socket.onclose = ({ code }) => {
      if (this.#isClosed) return;
      if (code === 1000) this.#handlers.state({ kind: "ended", code: this.#exit });
      else this.#again();
    };
  }

  #again() {
    if (this.#isClosed) return;
    this.#handlers.state({ kind: "lost" });
    const wait = WAITS[Math.min(this.#failed, WAITS.length - 1)];
    this.#failed += 1;
    setTimeout(() => {
      if (!this.#isClosed) void this.#connect();
    }, wait);
  }

  send(text: string) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(new TextEncoder().encode(text));
  }

  resize(columns: number, rows: number) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ resize: [columns, rows] }));
  }

  close() {
    this.#isClosed = true;
    const socket = this.#socket;
    if (socket === null) return;
    socket.onmessage = null;
    // Closed while it connects, a browser calls that a failure.
    if (socket.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
    else socket.close();
  }
}
