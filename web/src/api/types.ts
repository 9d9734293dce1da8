import type { components } from "./schema";

export type Schemas = components["schemas"];
export type Sandbox = Schemas["Sandbox"];
export type SandboxService = Schemas["SandboxService"];
export type StandingService = Schemas["StandingService"];
export type Job = Schemas["Job"];
export type SandboxDiff = Schemas["SandboxDiff"];
export type DiffFile = Schemas["DiffFile"];
export type ListeningPort = Schemas["ListeningPort"];
export type CreateSandbox = Schemas["CreateSandbox"];
export type Repository = Schemas["Repository"];
export type ServiceDefinition = Schemas["ServiceDefinition"];
export type PortDefinition = Schemas["PortDefinition"];
export type Operation = Schemas["Operation"];
export type LifecycleEvent = Schemas["LifecycleEvent"];
export type Me = Schemas["Me"];
export type User = Schemas["User"];
export type Size = Schemas["Size"];

/** `GET …/stats`: what the engine counts. */
export interface Stats {
  cpu_percent: number | null;
  memory_bytes: number;
  memory_limit_bytes: number;
  network_received_bytes: number;
  network_sent_bytes: number;
  disk_read_bytes: number;
  disk_written_bytes: number;
  pids: number;
  time: number;
}

/** The event `step` of `GET /events`. */
export interface Step extends LifecycleEvent {
  operation_id: string;
  sandbox_id: string;
}
