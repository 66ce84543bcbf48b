// Dense linear algebra in double precision, as far as forecasting needs it. A matrix is an array of rows.

/** (rows, columns) of zeros. */
export function zeros(rows, columns) {
  return Array.from({ length: rows }, () => new Float64Array(columns));
}

/** (rows, columns) of what ``entry`` says of each place; in loops, for Float64Array.from is many times slower. */
function filled(rows, columns, entry) {
  const matrix = zeros(rows, columns);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) matrix[i][j] = entry(i, j);
  return matrix;
}

/** Inner product of two vectors, or of the first ``count`` entries of them. */
export function dot(a, b, count = a.length) {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += a[i] * b[i];
  return sum;
}

/** Matrix (M, N) times vector (N,): (M,). */
export function times(matrix, vector) {
  const product = new Float64Array(matrix.length);
  for (let i = 0; i < matrix.length; i++) product[i] = dot(matrix[i], vector);
  return product;
}

/** (N, M) of a matrix (M, N). */
export function transposed(matrix) {
  return Array.from(matrix[0], (_, j) => Float64Array.from(matrix, (row) => row[j]));
}

/** Root mean square of a vector. */
export function rms(vector) {
  return Math.sqrt(dot(vector, vector) / vector.length);
}

/** Lower triangle L, row by row, of a positive definite matrix L L'. */
export function cholesky(matrix) {
  const lower = zeros(matrix.length, matrix.length);
  for (let i = 0; i < matrix.length; i++) {
    for (let j = 0; j <= i; j++) {
      const rest = matrix[i][j] - dot(lower[i], lower[j], j);
      lower[i][j] = i === j ? Math.sqrt(rest) : rest / lower[j][j];
    }
  }
  return lower;
}

/** Solve L L' y = right for the lower triangle (N, N) that ``cholesky`` gives. */
export function solveCholesky(lower, right) {
  const solution = Float64Array.from(right);
  for (let i = 0; i < solution.length; i++) {
    solution[i] = (solution[i] - dot(lower[i], solution, i)) / lower[i][i];
  }
  for (let i = solution.length - 1; i >= 0; i--) {
    solution[i] /= lower[i][i];
    for (let j = 0; j < i; j++) solution[j] -= lower[i][j] * solution[i];
  }
  return solution;
}

/**
 * Singular values in falling order, left and right vectors (an array of vectors each) of a matrix (M, N), M >= N.
 *
 * Columns are turned pair by pair until all are orthogonal; as accurate as can be, down to the smallest
 * singular values. Source: Hestenes (1958), one-sided Jacobi rotations.
 */
export function svd(matrix) {
  const columns = transposed(matrix);
  const right = columns.map((_, j) => Float64Array.from(columns, (_, i) => Number(i === j)));
  for (let sweep = 0, turned = true; turned && sweep < 40; sweep++) {
    turned = false;
    for (let p = 0; p < columns.length; p++) {
      for (let q = p + 1; q < columns.length; q++) turned = makeOrthogonal(columns, right, p, q) || turned;
    }
  }
  const norms = columns.map((column) => Math.sqrt(dot(column, column)));
  const order = norms.map((_, j) => j).sort((p, q) => norms[q] - norms[p]);
  return {
    singular: Float64Array.from(order, (j) => norms[j]),
    left: order.map((j) => columns[j].map((entry) => (norms[j] > 0 ? entry / norms[j] : 0))),
    right: order.map((j) => right[j]),
  };
}

function makeOrthogonal(columns, right, p, q) {
  const [first, second] = [columns[p], columns[q]];
  const across = dot(first, second);
  const a = dot(first, first);
  const b = dot(second, second);
  if (Math.abs(across) <= 1e-15 * Math.sqrt(a * b)) return false;
  const zeta = (b - a) / (2 * across);
  const tangent = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.hypot(1, zeta));
  const cosine = 1 / Math.hypot(1, tangent);
  turn(first, second, cosine, cosine * tangent);
  turn(right[p], right[q], cosine, cosine * tangent);
  return true;
}

function turn(first, second, cosine, sine) {
  for (let i = 0; i < first.length; i++) {
    const a = first[i];
    const b = second[i];
    first[i] = cosine * a - sine * b;
    second[i] = sine * a + cosine * b;
  }
}

/** (N, N) symmetric Toeplitz matrix of this first column (N,). */
export function toeplitz(lags) {
  return filled(lags.length, lags.length, (i, j) => lags[Math.abs(i - j)]);
}

/**
 * The two matrices (N / 2, N / 2) that a symmetric Toeplitz matrix makes of sums and of differences of mirrored
 * samples, for it commutes with time reversal; N is even. Source: Cantoni and Butler (1976).
 */
export function halves(lags) {
  const half = lags.length / 2;
  const block = (sign) => filled(half, half, (i, j) => lags[Math.abs(i - j)] + sign * lags[lags.length - 1 - i - j]);
  return [block(1), block(-1)];
}

/** What the maps ``even`` of sums and ``odd`` of differences of mirrored samples make of a vector (N,). */
export function byHalves(vector, even, odd) {
  const [half, last] = [vector.length / 2, vector.length - 1];
  const combined = (sign) => Float64Array.from({ length: half }, (_, i) => vector[i] + sign * vector[last - i]);
  const [sums, differences] = [even(combined(1)), odd(combined(-1))];
  const result = new Float64Array(vector.length);
  for (let i = 0; i < half; i++) {
    result[i] = (sums[i] + differences[i]) / 2;
    result[last - i] = (sums[i] - differences[i]) / 2;
  }
  return result;
}

/** A function that solves C y = right for the positive definite Toeplitz matrix C of this first column. */
export function toeplitzSolver(lags) {
  const [even, odd] = halves(lags).map(cholesky);
  return (right) =>
    byHalves(
      right,
      (sums) => solveCholesky(even, sums),
      (differences) => solveCholesky(odd, differences),
    );
}

/**
 * (N,) sums of the inverse of a symmetric Toeplitz matrix along its diagonals 0, ±1, …, from its first column.
 * Source: Musicus (1985).
 */
export function diagonalSums(first) {
  const length = first.length;
  const predictor = first.map((entry) => entry / first[0]);
  return first.map((_, lag) => {
    let sum = 0;
    for (let t = 0; t + lag < length; t++) sum += (length - lag - 2 * t) * predictor[t] * predictor[t + lag];
    return (lag === 0 ? 1 : 2) * first[0] * sum;
  });
}
