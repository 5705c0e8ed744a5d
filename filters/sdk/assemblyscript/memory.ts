// The memory that a call uses without the garbage collector: the input buffer,
// and an arena for slices, values and texts that lasts until the handler
// returns. Both grow in whole pages of linear memory and are used again.

const MOST: usize = 1 << 30;

function pages(n: usize): i32 {
  return <i32>((n + 0xffff) >>> 16);
}

/** Ends the call as one that ran out of memory, which the host recognizes by its limit being reached. */
function outOfMemory(): usize {
  while (memory.grow(1) >= 0) {}
  return unreachable();
}

/**
 * Returns the place of a block of at least `want` bytes that begins with the
 * first `used` bytes of the block at `at`, or 0 when there is no memory for it.
 * The block is the last in memory and owns what is behind it.
 */
export function extend(at: usize, cap: usize, used: usize, want: usize): usize {
  if (want > MOST) return 0;
  const end = <usize>memory.size() << 16;
  if (at + cap == end) return memory.grow(pages(want - cap)) < 0 ? 0 : at;
  if (memory.grow(pages(want)) < 0) return 0;
  memory.copy(end, at, used);
  return end;
}

let input = memory.data(4096, 8);
let inputCap: usize = 4096;

/** Returns an input buffer of at least `min` bytes, or 0. */
export function reserveInput(min: usize): usize {
  if (min <= inputCap) return input;
  const at = extend(input, inputCap, 0, min);
  if (at == 0) return 0;
  input = at;
  inputCap = (<usize>memory.size() << 16) - at;
  return at;
}

// The arena is a list of chunks, each with the next one's place and its own end
// at its start.
const FIRST: usize = 4096;
const HEAD: usize = 8;
const first = memory.data(<i32>FIRST, 8);

let chunk: usize = first;
let end: usize = first + FIRST;
let top: usize = first + HEAD;

// Where the arena stood when the instance had started.
let baseChunk: usize = 0;
let baseTop: usize = 0;

/** Forgets what was taken since the instance had started. */
export function rewind(): void {
  if (baseChunk == 0) settle();
  if (chunk != baseChunk) {
    chunk = baseChunk;
    end = endOf(chunk);
  }
  top = baseTop;
}

/** Keeps what was taken up to now for the instance's whole life. */
export function settle(): void {
  baseChunk = chunk;
  baseTop = top;
}

/** Returns `n` bytes, 8-aligned, that last until the handler returns. */
export function take(n: usize): usize {
  const size = (n + 7) & ~7;
  if (n > MOST || end - top < size) return takeMore(n);
  const at = top;
  top = at + size;
  return at;
}

/** Returns where the arena stands, for `release`. */
export function mark(): usize {
  return top;
}

/** Gives back what was taken from `at` on, if it lies in one chunk. */
export function release(at: usize): void {
  if (at >= chunk && at <= top) top = (at + 7) & ~7;
}

function endOf(at: usize): usize {
  return at == first ? first + FIRST : load<usize>(at, 4);
}

function takeMore(n: usize): usize {
  if (n > MOST) return outOfMemory();
  const size = (n + 7) & ~7;
  for (let next = load<usize>(chunk); next != 0; next = load<usize>(chunk)) {
    chunk = next;
    end = endOf(chunk);
    top = chunk + HEAD;
    if (end - top >= size) return take(n);
  }
  const whole = <usize>memory.size() << 16;
  if (end == whole) {
    if (memory.grow(pages(size - (end - top))) < 0) return outOfMemory();
  } else {
    // Twice as big as the last, so that the small ones left behind add up to less.
    const least = size + HEAD;
    if (memory.grow(pages(max(least, 2 * (end - chunk)))) < 0 && memory.grow(pages(least)) < 0) return outOfMemory();
    store<usize>(chunk, whole);
    chunk = whole;
    top = chunk + HEAD;
    store<usize>(chunk, 0);
  }
  end = <usize>memory.size() << 16;
  store<usize>(chunk, end, 4);
  return take(n);
}
