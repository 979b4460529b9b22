// Compares the answers of several networks, as zoo/serving/by_script.py does; one test has the cases of both.

const LEAST = 0.5; // the least probability that a network accepts where none was measured
const RIVAL = 0.05; // the least probability of a label written alike that is worth a word

function groupOf(label, groups) {
  return groups.filter(group => group.includes(label)).join('');
}

/** By how much the likeliest class, with those written alike, passes what a network accepts; below 0 it refuses. */
export function certainty({ labels, accepts }, probabilities, groups) {
  const least = Math.min(accepts ?? LEAST, 0.999);
  const label = labels[probabilities.indexOf(Math.max(...probabilities))];
  const group = groupOf(label, groups);
  const share = labels.reduce((sum, other, at) => sum + (other === label || group.includes(other)) * probabilities[at], 0);
  return (share - least) / (1 - least);
}

/** Which of several networks is believed, by the certainty of each; null where none accepts the image. */
export function choose(certainties) {
  const most = Math.max(...certainties);
  return most >= 0 ? certainties.indexOf(most) : null;
}

/** The labels that are written like a label and are likely too; `answers` are {labels, probabilities} of each network. */
export function rivals(label, answers, groups) {
  const group = groupOf(label, groups);
  const others = [...new Set(answers.flatMap(({ labels }) => labels))].filter(other => other !== label && group.includes(other));
  return others.filter(other => {
    const knowing = answers.filter(({ labels }) => labels.includes(other));
    const both = knowing.filter(({ labels }) => labels.includes(label));
    const chances = (both.length ? both : knowing).map(({ labels, probabilities }) => probabilities[labels.indexOf(other)]);
    return Math.max(...chances) >= RIVAL;
  });
}
