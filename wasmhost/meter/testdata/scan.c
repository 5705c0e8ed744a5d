// A filter's usual work: find a field of a JSON document by hand, and sum bytes.
#define EXPORT(name) __attribute__((export_name(name)))

static unsigned char input[4096];
static int length;

static void put(const char *s) {
  while (*s && length < (int)sizeof input) input[length++] = (unsigned char)*s++;
}

// prepare writes a document of about 1 KB, the field three quarters down.
EXPORT("prepare") int prepare(void) {
  length = 0;
  put("{");
  for (int i = 0; i < 24; i++) {
    if (i) put(",");
    if (i == 18) put("\"route\":\"orders.eu\",");
    put("\"field\":\"some text with a \\\"quote\\\" in it\"");
  }
  put("}");
  return length;
}

static int same(const unsigned char *p, const char *key, int n) {
  for (int i = 0; i < n; i++)
    if (p[i] != (unsigned char)key[i]) return 0;
  return 1;
}

// find returns the offset of the value of "route", or -1.
EXPORT("find") int find(void) {
  int depth = 0, i = 0;
  while (i < length) {
    unsigned char c = input[i];
    if (c == '{' || c == '[') {
      depth++;
    } else if (c == '}' || c == ']') {
      depth--;
    } else if (c == '"') {
      int from = ++i;
      while (i < length && input[i] != '"') i += input[i] == '\\' ? 2 : 1;
      if (depth == 1 && i - from == 5 && i + 1 < length && input[i + 1] == ':' && same(input + from, "route", 5))
        return i + 2;
    }
    i++;
  }
  return -1;
}

// hash touches every byte.
EXPORT("hash") unsigned hash(void) {
  unsigned h = 2166136261u;
  for (int i = 0; i < length; i++) h = (h ^ input[i]) * 16777619u;
  return h;
}

// sort is a loop with a branchy body and stores.
EXPORT("sort") unsigned sort(void) {
  for (int i = 1; i < length; i++) {
    unsigned char v = input[i];
    int j = i;
    while (j > 0 && input[j - 1] > v) {
      input[j] = input[j - 1];
      j--;
    }
    input[j] = v;
  }
  return hash();
}
