/** Ports of a service as they are typed: `3000`, `https 8443`, `5432/tcp`, `53/udp`; with commas between. */
import type { PortDefinition } from "../api/types";

export function show(ports: PortDefinition[]): string {
  return ports.map((it) => `${it.url_scheme == null ? "" : `${it.url_scheme} `}${it.port}${it.protocol === "udp" ? "/udp" : ""}`).join(", ");
}

/** Null where it cannot be read. Which ports are good the server says. */
export function read(text: string): PortDefinition[] | null {
  const ports: PortDefinition[] = [];
  for (const part of text.split(",").map((it) => it.trim()).filter(Boolean)) {
    const match = /^(?:(https?)[\s:/]+)?(\d{1,5})(?:\/(tcp|udp))?$/i.exec(part);
    if (!match) return null;
    ports.push({ port: Number(match[2]), protocol: match[3]?.toLowerCase() ?? "tcp", url_scheme: match[1]?.toLowerCase() ?? null });
  }
  return ports;
}
