/** CPU, memory, network and disk while one looks. */
import { Loader } from "@mantine/core";
import { queryOptions, useQuery } from "@tanstack/react-query";
import { lazy, Suspense } from "react";

import { client, stats } from "../../api/queries";
import { bytes, percent } from "../../lib/bytes";
import { add, type Samples } from "../../lib/samples";
import { Empty } from "../../ui/basics";
import { Problem } from "../../ui/problem";
import { useSandbox } from "./context";

const Chart = lazy(() => import("./chart"));

const EVERY = 2_000;

const rate = (value: number) => `${bytes(value)}/s`;

const NONE = add(null, undefined);

/** What was measured so far, of this sandbox, with what it uses now. */
const measured = (id: string) => {
  const queryKey = ["samples", id];
  return queryOptions({
    queryKey,
    queryFn: async () => add(client.getQueryData<Samples>(queryKey) ?? null, await client.query({ ...stats(id, EVERY), staleTime: 0 })),
    refetchInterval: EVERY,
    staleTime: EVERY,
    gcTime: 60_000,
    retry: false,
  });
};

export function Usage(): React.ReactNode {
  const it = useSandbox();
  const runs = it.state === "started";
  const { data: samples = NONE, error } = useQuery({ ...measured(it.id), enabled: runs });
  const data = samples.last;
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
          <Chart title="CPU" now={percent(data?.cpu_percent ?? null)} of="of one core" times={samples.times} lines={[{ label: "CPU", values: samples.cpu }]} least={10} shown={percent} />
          <Chart
            title="Memory"
            now={data ? bytes(data.memory_bytes) : "–"}
            of={data ? `of ${bytes(data.memory_limit_bytes)}` : ""}
            times={samples.times}
            lines={[{ label: "Memory", values: samples.memory }]}
            least={2 ** 20} shown={bytes}
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
            least={1024}
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
            least={1024}
            shown={rate}
          />
        </div>
        <p className="dim">Since this page was opened; {data ? `${data.pids} processes now` : "…"}.</p>
      </Suspense>
    </>
  );
}
