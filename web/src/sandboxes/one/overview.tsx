/** What there is to know of a sandbox at one look. */
import { Facts } from "./facts";
import { Jobs } from "./jobs";
import { Progress } from "./progress";
import { Services } from "./services";
import { Timers } from "./timers";
import { Trouble } from "./trouble";
import { useSandbox } from "./context";

export function Overview(): React.ReactNode {
  const it = useSandbox();
  const begins = it.state === "initializing" || it.state === "failed";
  return (
    <div className="columns">
      <div className="stack">
        <Trouble sandbox={it} />
        {begins && <Progress sandbox={it} live />}
        <Services sandbox={it} />
        <Jobs sandbox={it} />
        {!begins && <Progress sandbox={it} live={false} />}
      </div>
      <div className="stack">
        <Timers key={it.id} sandbox={it} />
        <Facts sandbox={it} />
      </div>
    </div>
  );
}
