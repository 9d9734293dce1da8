import { NativeSelect, TextInput } from "@mantine/core";

import type { Form } from "../../lib/form";
import { wrongTime } from "../../lib/form";
import { Card } from "../../ui/basics";
import type { Fields } from "./page";

const BASES = [
  { value: "default", label: "As the repository says, else coder" },
  { value: "coder", label: "coder: agents, compilers, Node, Python" },
  { value: "coder-dind", label: "coder-dind: with a container engine inside" },
  { value: "image", label: "Another image" },
];

const SIZES = [
  { value: "", label: "As the repository says, else no size" },
  { value: "xs", label: "xs: 1 CPU, 2 GiB" },
  { value: "m", label: "m: 2 CPUs, 4 GiB" },
  { value: "l", label: "l: 4 CPUs, 8 GiB" },
  { value: "xl", label: "xl: 8 CPUs, 16 GiB" },
];

export function MachineFields({ form, set, error }: Fields) {
  return (
    <Card title="Machine and timers">
      <div className="stack">
        <div className="pair">
          <NativeSelect label="Image" data={BASES} value={form.base} onChange={(event) => set({ base: event.currentTarget.value as Form["base"] })} error={error("/preset")} />
          <NativeSelect label="Size" data={SIZES} value={form.size} onChange={(event) => set({ size: event.currentTarget.value as Form["size"] })} error={error("/size")} />
        </div>
        {form.base === "image" && (
          <TextInput label="Name of the image" placeholder="docker.io/library/debian:trixie" value={form.image} onChange={(event) => set({ image: event.currentTarget.value })} error={error("/image")} />
        )}
        <div className="pair">
          <TextInput
            label="Stop after idle minutes"
            description="0 to 10080; 0: never"
            value={form.stop}
            onChange={(event) => set({ stop: event.currentTarget.value })}
            error={wrongTime(form.stop, false) ?? error("/auto_stop_interval")}
          />
          <TextInput
            label="Delete minutes after the stop"
            description="0 to 10080; empty: never"
            placeholder="never"
            value={form.remove}
            onChange={(event) => set({ remove: event.currentTarget.value })}
            error={wrongTime(form.remove, true) ?? error("/auto_delete_interval")}
          />
        </div>
        <TextInput
          label="Published ports"
          description="As docker has them, with spaces between: 8080:80 3000. Services need none."
          value={form.ports}
          onChange={(event) => set({ ports: event.currentTarget.value })}
          error={error("/ports")}
        />
      </div>
    </Card>
  );
}
