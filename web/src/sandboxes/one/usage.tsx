/** CPU, memory, network and disk while one looks. */
import { Loader } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useEffect, useState } from "react";

import { stats } from "../../api/queries";
import type { Stats } from "../../api/types";
import { bytes, percent } from "../../lib/bytes";
import { add, type Samples } from "../../lib/samples";
import { Empty } from "../../ui/basics";
import { Problem } from "../../ui/problem";
import { useSandbox } from "./context";

const Chart = lazy(() => import("./chart"));

const EVERY = 2_000;

const rate = (value: number) => `${bytes(value)}/s`;

export function Usage() {
  const it = useSandbox();
  const runs = it.state === "started";
  const { data, error } = useQuery({ ...stats(it.id, EVERY), enabled: runs });
  const samples = useSamples(it.id, data);
  if (!runs) {
    return (
      <div className="card">
        <Empty title="The sandbox does not run">It uses nothing but its disk until it is started.</Empty>
      </div>
    );
  }
  return (
    <>
      {error !== null && <Problem error={error} />}
      <Suspense fallback={<Loader size="sm" aria-label="Loading" />}>
        <div className="pair">
          <Chart title="CPU" now={percent(data?.cpu_percent ?? null)} of="of one core" times={samples.times} lines={[{ label: "CPU", values: samples.cpu }]} shown={percent} />
          <Chart
            title="Memory"
            now={data ? bytes(data.memory_bytes) : "–"}
            of={data ? `of ${bytes(data.memory_limit_bytes)}` : ""}
            times={samples.times}
            lines={[{ label: "Memory", values: samples.memory }]}
            shown={bytes}
          />
          <Chart
            title="Network"
            now={`in ${rate(samples.received.at(-1) ?? 0)}, out ${rate(samples.sent.at(-1) ?? 0)}`}
            of=""
            times={samples.times}
            lines={[
              { label: "in", values: samples.received },
              { label: "out", values: samples.sent },
            ]}
            shown={rate}
          />
          <Chart
            title="Disk"
            now={`read ${rate(samples.read.at(-1) ?? 0)}, written ${rate(samples.written.at(-1) ?? 0)}`}
            of=""
            times={samples.times}
            lines={[
              { label: "read", values: samples.read },
              { label: "written", values: samples.written },
            ]}
            shown={rate}
          />
        </div>
        <p className="dim">Since this page was opened; {data ? `${data.pids} processes now` : "…"}.</p>
      </Suspense>
    </>
  );
}

/** What was measured so far, of this sandbox. */
function useSamples(id: string, latest: Stats | undefined): Samples {
  const [kept, setKept] = useState<{ id: string; samples: Samples }>({ id, samples: add(null, undefined) });
  useEffect(() => {
    setKept((now) => ({ id, samples: add(now.id === id ? now.samples : null, latest) }));
  }, [id, latest]);
  return kept.samples;
}
