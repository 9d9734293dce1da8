export interface ServerEvent {
  id: string | null;
  name: string;
  data: string;
}

/** Reads server-sent events out of pieces of text, as the HTML standard has them. */
export class EventReader {
  #rest = "";
  #id: string | null = null;

  push(text: string): ServerEvent[] {
    this.#rest += text;
    const events: ServerEvent[] = [];
    for (;;) {
      const end = this.#rest.indexOf("\n\n");
      if (end < 0) return events;
      const block = this.#rest.slice(0, end);
      this.#rest = this.#rest.slice(end + 2);
      const event = this.#read(block);
      if (event) events.push(event);
    }
  }

  #read(block: string): ServerEvent | null {
    let name = "message";
    const data: string[] = [];
    for (const line of block.split("\n")) {
      const colon = line.indexOf(":");
      if (colon === 0) continue;
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (field === "event") name = value;
      else if (field === "data") data.push(value);
      else if (field === "id") this.#id = value;
    }
    return data.length === 0 ? null : { id: this.#id, name, data: data.join("\n") };
  }
}

/** Each event of a stream. `alive` is called for whatever comes, comments too. */
export async function* events(body: ReadableStream<Uint8Array>, alive?: () => void): AsyncGenerator<ServerEvent> {
  const reader = new EventReader();
  const decoder = new TextDecoder();
  const stream = body.getReader();
  try {
    for (;;) {
      const { done, value } = await stream.read();
      if (done) return;
      alive?.();
      yield* reader.push(decoder.decode(value, { stream: true }));
    }
  } finally {
    stream.cancel().catch(() => undefined);
  }
}
