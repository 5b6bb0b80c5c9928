// One line for each thing that is judged, and the count at the end.

let [passed, failed] = [0, 0];

/** `found`: the figures that the line shows, wrong or right. */
export function judge(what, isRight, found) {
  if (isRight) passed += 1;
  else failed += 1;
  console.log(
    `${isRight ? 'ok    ' : 'FAILED'} ${what}${found === undefined ? '' : ` (${found})`}`,
  );
}

export function verdict() {
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0;
}
