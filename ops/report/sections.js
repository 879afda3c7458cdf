// The heading and the sections of a run's report. What the run did not produce has no section.
const { run: own, baseline, profile } = run;
const ended = own.status === "SUCCEEDED" ? own.outcome : own.status.toLowerCase();
const took = own.stopped ? `${seconds(own.stopped).toFixed(0)} s` : "still running";
const range = (low, high) => `${shown(low)} to ${shown(high)}`;
const heading = {
  kicker: `${run.project}, started by ${own.started_by}`,
  title: ended.charAt(0).toUpperCase() + ended.slice(1),
  kind: ended,
  lines: [own.status === "SUCCEEDED" ? own.why : own.outcome, ...own.warnings.map((warning) => `Warning: ${warning}`)],
  note: `Run ${own.name}, ${new Date(own.started).toISOString().slice(0, 19).replace("T", " ")} UTC, ${took}`,
};

function errors() {
  const times = new Map();
  for (const { state, error, cause } of run.steps) {
    const key = JSON.stringify([state, error, cause]);
    if (error) times.set(key, (times.get(key) ?? 0) + 1);
  }
  const rows = [...times].map(([key, count]) => [...JSON.parse(key), count]);
  return rows.length ? [{ caption: "Errors, also those that were retried or caught", headings: ["state", "error", "cause", "times"], rows }] : [];
}

function path() {
  const caption = "Critical path, in seconds: what the run waited for, one phase after another";
  return run.path.length ? [{ caption, headings: ["phase", "job starts", "start-up", "work"], rows: run.path }] : [];
}

function comparison({ metric, challenger, champion, difference, interval }) {
  return {
    title: "Challenger against champion",
    note: `The champion is the model of run ${run.champion || "unknown"}. Above 0 is better.`,
    parts: [
      { figure: "difference", caption: "The challenger's lead over the champion, and the margin that it must stay above" },
      { caption: "On the same rows", headings: ["metric", "challenger", "champion", "difference", "interval"],
        rows: [[metric, challenger, champion, difference, range(...interval)]] },
    ],
  };
}

function incomparable(reason) {
  const note = `The champion is the model of run ${run.champion || "unknown"}. Not compared: ${reason}.`;
  return { title: "Challenger against champion", note, parts: [] };
}

function answers() {
  const binary = {
    roc: "ROC: true positives against false positives",
    pr: "Precision against recall",
    scores: "Scores of the hold-out by true label",
    calibration: "Calibration: share of positives against the mean score",
    thresholds: "Precision, recall and F1 by threshold",
  };
  const regression = { scores: "Errors of the hold-out: prediction minus true value" };
  const captions = measured.receiver_operating_characteristic_curve ? binary : profile.histogram ? regression : {};
  const parts = Object.entries(captions).map(([figure, caption]) => ({ figure, caption }));
  const cells = measured.confusion_matrix;
  if (cells) {
    const rows = Object.entries(cells).map(([row, counts]) => [run.classes[row], ...Object.keys(cells).map((column) => counts[column])]);
    parts.push({ caption: "Confusion matrix: true label down, predicted label across", headings: ["", ...run.classes], rows });
  }
  return parts.length ? [{ title: "Answers", parts }] : [];
}

function goldenRows({ rows, share, wrong }) {
  return ` Golden rows: ${Math.round(share * rows)} of ${rows} are right${wrong ? `; ${wrong}` : ""}.`;
}

function example({ scale, score, base, contributions, rest }) {
  const effects = contributions.map(({ feature, value, effect }) => [feature, value ?? "no value", effect]);
  return {
    title: "Explanation of the example row",
    note: `The effects add up to the score on the scale: ${scale}. The API explains each row so with ?explain=true.`,
    parts: [{ caption: "Largest contributions, against the mean of each feature", headings: ["feature", "value", "effect"],
      rows: [["score of the means", "", base], ...effects, ["all other features", "", rest], ["score", "", score]] }],
  };
}

function quality() {
  const golden = run.evaluation.golden ? goldenRows(run.evaluation.golden) : "";
  const rows = run.metrics.map((metric) => [metric.name, metric.value, range(metric.low, metric.high), metric.rule, metric.passed]);
  return [
    {
      title: "Quality",
      note: `On a hold-out of ${run.evaluation.rows} rows; intervals are 95 %, by the bootstrap.${golden}`,
      parts: [
        { figure: "metrics", caption: "Each metric with its interval, and the quality gate's thresholds" },
        { caption: "Metrics", headings: ["metric", "value", "interval", "gate", "passed"], rows },
      ],
    },
    ...(run.evaluation.comparison ? [comparison(run.evaluation.comparison)] : []),
    ...(run.evaluation.champion?.reason ? [incomparable(run.evaluation.champion.reason)] : []),
    ...answers(),
    ...(run.coefficients.length ? [{ title: "Largest coefficients", parts: [{ figure: "coefficients", caption: "Effect of one standard deviation of a feature, or of a column that it is encoded as" }] }] : []),
    ...(run.example.contributions ? [example(run.example)] : []),
  ];
}

const COUNTED = { repeated: "in another file too", replaced: "replaced by a later upload", contradicting: "contradicting another's label" };

function data() {
  const features = Object.entries(baseline.features);
  const counts = Object.entries(baseline.rows).map(([name, count]) => [COUNTED[name] ?? name.replaceAll("_", " "), count]);
  const leftOut = (baseline.left_out ?? []).map((reason) => [reason]);
  const parts = Object.keys(baseline.parts ?? {});
  const classes = parts.length && baseline.labels ? Object.keys(baseline.labels) : [];
  const labels = classes.length ? [] : Object.entries(baseline.labels ?? {}).map(([name, count]) => [`labelled ${name}`, count]);
  const byClass = { caption: "Rows by class and part", headings: ["class", ...parts, "all"],
    rows: classes.map((name) => [name, ...parts.map((part) => baseline.parts[part][name]), baseline.labels[name]]) };
  const missing = features.some(([, each]) => each.levels || each.missing);
  const kinds = { caption: "Features", headings: ["feature", "missing", "values"], rows: features.map(described) };
  const levels = { figure: "levels", caption: "Levels: the share of rows, of each feature's most frequent; the tick is the champion's, the circle live traffic's" };
  const against = run.champion_baseline.features ? "the champion's data" : "its own mean and spread";
  return {
    title: "Data",
    note: "A run fails above the limits of [data.bad_rows]; bad rows within them are in the quarantine.",
    parts: [
      { caption: "Rows", headings: ["what", "rows"], rows: [...counts, ...labels] },
      ...(leftOut.length ? [{ caption: "Files left out", headings: ["reason"], rows: leftOut }] : []),
      ...(classes.length ? [byClass] : []),
      ...(missing ? [kinds] : []),
      { figure: "features", caption: `Features: the middle 80 % of the values, against ${against}` },
      ...(features.some(([, each]) => each.levels) ? [levels] : []),
    ],
  };
}

function described([name, each]) {
  const share = each.missing ? `${shown(100 * each.missing)} %` : "none";
  if (!each.levels) return [name, share, range(each.minimum, each.maximum)];
  const frequent = Object.entries(each.levels).sort(([, one], [, other]) => other - one);
  const named = frequent.slice(0, 5).map(([level, rows]) => `${level} ${rows}`).join(", ");
  return [name, share, frequent.length > 5 ? `${named} and ${frequent.length - 5} more` : named];
}

function traffic() {
  const { since, until, verdict, breaches, features, rows } = run.drift;
  const found = Object.entries(features).sort(([, one], [, other]) => other.psi - one.psi);
  return {
    title: "Live traffic",
    note: `${rows} rows from ${since} to ${until}: ${breaches.join("; ") || `drift: ${verdict}`}. A level that the training data lack is out of range.`,
    parts: found.length ? [
      { figure: "drift", caption: "Drift: the features that moved most from the training data" },
      { caption: "Drift by feature", headings: ["feature", "PSI", "KS", "missing", "out of range"],
        rows: found.map(([name, each]) => [name, each.psi, each.ks, each.missing, each.out_of_range]) },
    ] : [],
  };
}

// The training jobs of the run's tuning job, the best one first.
function tuning() {
  const { HyperParameterTuningJobConfig: config, HyperParameterTuningJobStatus: status, BestTrainingJob: best, FailureReason: reason, trainings } = run.tuning;
  const { MetricName: metric, Type: type } = config.HyperParameterTuningJobObjective;
  const sign = type === "Maximize" ? -1 : 1;
  const names = Object.keys(trainings[0]?.TunedHyperParameters ?? {});
  const sorted = [...trainings].sort((one, other) => sign * (objective(one) - objective(other)) || isNaN(objective(one)) - isNaN(objective(other)));
  const rows = sorted.map((job) => [job.TrainingJobName, job.FinalHyperParameterTuningJobObjectiveMetric?.Value, ...names.map((name) => job.TunedHyperParameters[name]),
    job.TrainingJobStatus, job.TrainingJobName === best?.TrainingJobName ? "yes" : ""]);
  const chosen = best ? `Job ${best.TrainingJobName} was chosen.` : `No job was chosen: ${reason ?? status}`;
  return {
    title: "Tuning",
    note: `${config.Strategy} search of ${trainings.length} training jobs, ${config.ResourceLimits.MaxParallelTrainingJobs} at a time; ${metric}, ${type === "Maximize" ? "larger" : "smaller"} is better. ${chosen}`,
    parts: [
      ...(best ? [{ figure: "tuning", caption: "The objective by hyperparameter; the filled dot is the chosen job" }] : []),
      { caption: "Training jobs", headings: ["job", metric, ...names, "status", "chosen"], rows },
    ],
  };
}

// The share of the time that SageMaker did not bill; nothing for a job on demand.
function saved({ EnableManagedSpotTraining: spot, BillableTimeInSeconds: billed, TrainingTimeInSeconds: taken }) {
  return spot && taken ? `${shown(100 * (1 - billed / taken))} %` : "";
}

function lineage() {
  const { data = {}, settings, commit } = own.request;
  const { run: earlier, time } = run.preprocessed;
  const values = {
    execution: own.arn,
    "started by": own.started_by,
    "data, SHA-256": data.fingerprint,
    "data, objects": data.objects,
    "data, bytes": data.bytes,
    "preprocessed by": earlier ? `run ${earlier} on ${time.slice(0, 10)}, which has the quarantine` : "",
    "settings, SHA-256": settings,
    commit,
    "spot training saved": saved(run.training),
    "tuning job": run.tuning.HyperParameterTuningJobName,
    "training image": run.training.AlgorithmSpecification?.TrainingImage,
    "model package": run.package.ModelPackageArn,
    "package status": run.package.ModelApprovalStatus,
    artifact: run.artifact,
    "endpoint config": own.outcome === "accepted" ? own.model : "",
  };
  const rows = Object.entries(values).filter(([, value]) => (value ?? "") !== "");
  return { title: "Lineage", parts: [{ caption: "Origin of the model", headings: ["what", "value"], rows }] };
}

// What the model card has and the other sections do not.
function card() {
  const { intended_uses: uses = {}, additional_information: more = {} } = run.card;
  const { custom_details: details = {}, ...texts } = more;
  const rows = Object.entries({ ...uses, ...texts, ...details }).map(([name, text]) => [name.replaceAll("_", " "), text]);
  return { title: "Model card", parts: [{ caption: "What the model is for", headings: ["what", "text"], rows }] };
}

const sections = [
  { title: "States", parts: [{ figure: "timeline", caption: "Duration of each state" }, ...path(), ...errors()] },
  ...(run.metrics.length ? quality() : []),
  ...(run.tuning.trainings ? [tuning()] : []),
  ...(baseline.rows ? [data()] : []),
  ...(run.drift.features ? [traffic()] : []),
  ...(run.card.intended_uses ? [card()] : []),
  lineage(),
  { title: "Cost", note: "US dollars by the AWS Price List, on demand; a dash means that the list did not answer.",
    parts: [{ caption: "Instance seconds", headings: ["job", "instances", "seconds", "dollars"], rows: run.cost }] },
];
