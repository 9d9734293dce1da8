/** Who did what, when, from where, and what came of it. */
import { Button } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";

import { api, ask } from "../api/client";
import { Ago } from "../ui/ago";
import { Card } from "../ui/basics";
import { Problem } from "../ui/problem";

export function Audit(): React.ReactNode {
  const all = useInfiniteQuery({
    queryKey: ["audit"],
    queryFn: ({ pageParam }) => ask(api.GET("/api/v0beta1/audit", { params: { query: { limit: 50, ...(pageParam === null ? {} : { before: pageParam }) } } })),
    initialPageParam: null as number | null,
    getNextPageParam: (page) => page.next_before ?? null,
    staleTime: 0,
  });
  const rows = all.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Card
      title="Audit"
      flush
      aside={
        <Button size="xs" variant="default" loading={all.isRefetching && !all.isFetchingNextPage} onClick={() => void all.refetch()}>
          Refresh
        </Button>
      }
    >
      {all.error !== null && <Problem error={all.error} />}
      <table className="rows blocks">
        <thead>
          <tr>
            <th scope="col">When</th>
            <th scope="col">Who</th>
            <th scope="col">What</th>
            <th scope="col">From</th>
            <th scope="col" className="end">
              Answer
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.id}>
              <td style={{ whiteSpace: "nowrap" }}>
                <Ago at={row.at} />
              </td>
              <td>
                {row.user_name ?? "nobody"}
                {row.key_id != null && <span className="dim"> by key</span>}
              </td>
              <td>
                <span className="mono">{row.action}</span>
                {row.target != null && !row.action.endsWith(row.target) && <div className="dim mono">{row.target}</div>}
              </td>
              <td className="mono" data-label="From">{row.from}</td>
              <td className="end" data-label="Answer" style={{ color: row.status >= 400 ? "var(--amika-bad)" : undefined }}>
                {row.status}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {all.hasNextPage && (
        <div style={{ padding: 10, textAlign: "center" }}>
          <Button size="xs" variant="default" loading={all.isFetchingNextPage} onClick={() => void all.fetchNextPage()}>
            Earlier
          </Button>
        </div>
      )}
    </Card>
  );
}
