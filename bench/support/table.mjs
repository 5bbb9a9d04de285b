/** The one table of all benchmarks. */

function number(value) {
  if (value === undefined) return '–';
  if (value >= 1000) return String(Math.round(value)).replaceAll(/\B(?=(\d{3})+$)/g, ' ');
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

export const COLUMNS = [
  'what',
  'baseline in the same run',
  'ours',
  'baseline',
  'ratio',
  'quartiles',
  'goal',
];

/** One row as cells; a goal is `≥ x`, or `≤ x` for a row that says `isCeiling`. */
export function cells({
  what,
  baselineName,
  unit,
  ours,
  baseline,
  ratio,
  spread,
  goal,
  isCeiling,
}) {
  return [
    what,
    baselineName ?? '–',
    `${number(ours)} ${unit}`,
    baseline === undefined ? '–' : `${number(baseline)} ${unit}`,
    ratio === undefined ? '–' : number(ratio),
    spread === undefined ? '–' : spread.map(number).join(' – '),
    goal === undefined
      ? '–'
      : `${isCeiling ? '≤' : '≥'} ${goal}${isMet({ ratio, ours, goal, isCeiling }) ? '' : ' (missed)'}`,
  ];
}

/** A row without a baseline is held to its goal by its own figure. */
export function isMet({ ratio, ours, goal, isCeiling }) {
  if (goal === undefined) return true;
  const value = ratio ?? ours;
  return isCeiling ? value <= goal : value >= goal;
}

export function markdownTable(rows) {
  const lines = [COLUMNS, COLUMNS.map(() => '---'), ...rows.map(cells)];
  return lines.map((line) => `| ${line.join(' | ')} |`).join('\n');
}

export function printRows(rows) {
  process.stdout.write(`${markdownTable(rows)}\n`);
}
