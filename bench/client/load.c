/* load: how many answers does a server give to POSTs, asked again and again over kept connections, and how long does each take?
 *
 * One thread, one request under way on each connection. Bodies are asked in turn; a run of ten # in one is replaced by the number of the request. Checked
 * of every answer: its status, that it is whole (Content-Length or chunked), that it holds no "errors", and a text that is wanted. Prints one JSON object.
 * README: docs/performance.md.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"

#define MOST_CONNECTIONS 10000
#define MOST_ANSWER (16 * 1024 * 1024)
#define SILENT_SECONDS 10
#define MOST_CLOSED 100
#define SAID_AT_MOST 2
#define MOST_LINES 10000
#define NUMBER_HERE "##########"
#define NUMBER_DIGITS 10

enum { UNKNOWN = -2, CHUNKED = -1 };

typedef struct {
  int fd;
  char *text; /* of the answer so far */
  size_t length, room;
  size_t head;  /* bytes of the head; 0: not whole yet */
  long body;    /* bytes of the body, or CHUNKED */
  size_t chunk; /* where the next chunk begins */
  int64_t asked_us;
  const char *own_header; /* a line, or nothing */
} Connection;

/* Lines of a file. */
typedef struct {
  char **line;
  int count;
} Lines;

static struct {
  char host[64];
  int port, connections;
  const char *path, *body, *each_header, *wanted;
  char headers[8192];
  double seconds, warm;
} with = {.path = "/graphql", .connections = 32, .seconds = 3, .warm = 1};

static struct {
  long answers, bytes, not_2xx, with_errors, without, closed;
  size_t least, most;
} seen;

static Watch watch;
static Latencies latencies;
static Lines bodies, own_headers;
static char *request; /* room for the longest */
static long asked;
static int events_fd, measuring;

static const char USAGE[] =
    "usage: load --server HOST:PORT --body FILE [options]\n"
    "  --server HOST:PORT   the server under test\n"
    "  --body FILE          what is posted, as application/json: a body a line, in turn; " NUMBER_HERE " becomes the request's number\n"
    "  --header 'NAME: V'   one more header; may be given again\n"
    "  --each-header FILE   one more header a line; each connection sends one, in turn\n"
    "  --wanted TEXT        what every answer is to hold\n"
    "  --connections N (32)  --seconds N (3)  --warm SECONDS (1)  --path PATH (/graphql)\n"
    "  --cpu NAME=PID       a process whose CPU seconds are reported; `server` is what answers are divided by\n"
    "exit status: 2 wrong usage, 3 the server refuses or fails, 4 it does not answer\n";

/* ---- one answer ---- */

static const char *header_of(const char *head, size_t length, const char *name) {
  size_t size = strlen(name);
  for (const char *line = head; (line = memmem(line, length - (size_t)(line - head), "\r\n", 2)); ) {
    line += 2;
    if ((size_t)(line - head) + size < length && !strncasecmp(line, name, size) && line[size] == ':') {
      for (line += size + 1; *line == ' '; line++) continue;
      return line;
    }
  }
  return NULL;
}

static void read_head(Connection *connection, size_t length) {
  const char *size = header_of(connection->text, length, "content-length"), *coding = header_of(connection->text, length, "transfer-encoding");
  connection->head = connection->chunk = length;
  connection->body = coding && !strncasecmp(coding, "chunked", 7) ? CHUNKED : size ? atol(size) : UNKNOWN;
  if (connection->body == UNKNOWN) fail(EXIT_PEER, "an answer without a length: %.*s", (int)length, connection->text);
}

/* Length of a chunked answer once its last chunk is there; 0 before. */
static size_t chunked_end(Connection *connection) {
  for (;;) {
    char *start = connection->text + connection->chunk, *line_end = memmem(start, connection->length - connection->chunk, "\r\n", 2);
    if (!line_end) return 0;
    if (!isxdigit((unsigned char)*start)) fail(EXIT_PEER, "no chunk: %.40s", start);
    size_t size = strtoul(start, NULL, 16), next = (size_t)(line_end + 2 - connection->text) + size + 2;
    if (next > connection->length) return 0;
    if (!size) return next;
    connection->chunk = next;
  }
}

/* Bytes of the answer when it is whole; 0 before. */
static size_t whole(Connection *connection) {
  if (!connection->head) {
    char *end = memmem(connection->text, connection->length, "\r\n\r\n", 4);
    if (!end) return 0;
    read_head(connection, (size_t)(end + 4 - connection->text));
  }
  if (connection->body == CHUNKED) return chunked_end(connection);
  size_t length = connection->head + (size_t)connection->body;
  return connection->length >= length ? length : 0;
}

static void judge(const Connection *connection, size_t length) {
  int fine = length > 12 && connection->text[9] == '2', errors = memmem(connection->text, length, "\"errors\"", 8) != NULL;
  int lacks = with.wanted && !memmem(connection->text, length, with.wanted, strlen(with.wanted));
  if ((!fine && seen.not_2xx < SAID_AT_MOST) || (errors && seen.with_errors < SAID_AT_MOST) || (lacks && seen.without < SAID_AT_MOST))
    fprintf(stderr, "the server said: %.*s\n", (int)(length < 900 ? length : 900), connection->text);
  seen.not_2xx += !fine;
  seen.with_errors += errors;
  seen.without += lacks;
  size_t body = length - connection->head;
  if (!seen.answers || body < seen.least) seen.least = body;
  if (body > seen.most) seen.most = body;
  seen.answers++;
  seen.bytes += (long)length;
  if (measuring) latencies_add(&latencies, now_us() - connection->asked_us);
}

/* ---- connections ---- */

static void ask(Connection *connection) {
  const char *body = bodies.line[asked++ % bodies.count];
  size_t length = strlen(body);
  int head = sprintf(request, "POST %.400s HTTP/1.1\r\nHost: %s:%d\r\nContent-Type: application/json\r\nAccept: application/json\r\n%s%sContent-Length: %zu\r\n\r\n",
                     with.path, with.host, with.port, with.headers, connection->own_header, length);
  memcpy(request + head, body, length);
  char *place = memmem(request + head, length, NUMBER_HERE, NUMBER_DIGITS), digits[NUMBER_DIGITS + 12];
  if (place) {
    snprintf(digits, sizeof digits, "%0*ld", NUMBER_DIGITS, asked);
    memcpy(place, digits, NUMBER_DIGITS);
  }
  connection->head = connection->length = 0;
  connection->asked_us = now_us();
  write_all(connection->fd, request, (size_t)head + length);
}

static void open_connection(Connection *connection) {
  connection->fd = dial(with.host, with.port, NULL);
  fcntl(connection->fd, F_SETFL, fcntl(connection->fd, F_GETFL) | O_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
  epoll_ctl(events_fd, EPOLL_CTL_ADD, connection->fd, &event);
  ask(connection);
}

static void take(Connection *connection) {
  if (connection->room - connection->length < 65536) {
    if (connection->room > MOST_ANSWER) fail(EXIT_PEER, "an answer of more than %d bytes", MOST_ANSWER);
    connection->room = connection->room * 2 + 131072;
    connection->text = room_for(connection->text, connection->room);
  }
  ssize_t got = recv(connection->fd, connection->text + connection->length, connection->room - connection->length, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    if (++seen.closed > MOST_CLOSED && !seen.answers) fail(EXIT_PEER, "the server closes connections and answers nothing");
    close(connection->fd);
    open_connection(connection);
    return;
  }
  connection->length += (size_t)got;
  size_t length = whole(connection);
  if (length) {
    judge(connection, length);
    ask(connection);
  }
}

/* Ask for so long. */
static void load_for(double seconds) {
  static struct epoll_event events[1024];
  int64_t end = now_us() + (int64_t)(seconds * 1e6), heard = now_us();
  for (int64_t now = now_us(); now < end; now = now_us()) {
    int count = epoll_wait(events_fd, events, 1024, 100);
    for (int i = 0; i < count; i++) take(events[i].data.ptr);
    if (count > 0) heard = now;
    if (now - heard > SILENT_SECONDS * 1000000) fail(EXIT_SILENT, "nothing was answered for %d s", SILENT_SECONDS);
  }
}

static void measure(void) {
  memset(&seen, 0, sizeof seen);
  measuring = 1;
  double own = own_cpu();
  watch_begin(&watch);
  int64_t start = now_us();
  load_for(with.seconds);
  double seconds = (double)(now_us() - start) / 1e6;
  watch_end(&watch);
  own = own_cpu() - own;
  printf("{\"connections\":%d,\"seconds\":%.3f,\"answers\":%ld,\"per_second\":%.1f,\"per_server_cpu_second\":%.1f,", with.connections, seconds,
         seen.answers, (double)seen.answers / seconds, SHARE_OF(seen.answers, watch_spent(&watch, "server")));
  watch_print(&watch);
  printf(",\"client_cpu\":%.3f,\"least_bytes\":%zu,\"most_bytes\":%zu,", own / seconds, seen.least, seen.most);
  latencies_print(&latencies);
  printf(",\"not_2xx\":%ld,\"with_errors\":%ld,\"without\":%ld,\"closed\":%ld}\n", seen.not_2xx, seen.with_errors, seen.without, seen.closed);
}

/* ---- options ---- */

static void add_header(const char *text) {
  size_t length = strlen(with.headers);
  if (!strchr(text, ':') || strpbrk(text, "\r\n")) fail(EXIT_USAGE, "--header: expected 'NAME: VALUE', got '%s'", text);
  if (length + strlen(text) + 3 > sizeof with.headers) fail(EXIT_USAGE, "--header: too much");
  snprintf(with.headers + length, sizeof with.headers - length, "%s\r\n", text);
}

static void take_option(const char *name, char *text) {
  if (!strcmp(name, "server")) with.port = host_and_port(name, text, with.host, sizeof with.host);
  else if (!strcmp(name, "body")) with.body = text;
  else if (!strcmp(name, "path")) with.path = text;
  else if (!strcmp(name, "header")) add_header(text);
  else if (!strcmp(name, "each-header")) with.each_header = text;
  else if (!strcmp(name, "wanted")) with.wanted = text;
  else if (!strcmp(name, "cpu")) watch_add(&watch, text);
  else if (!strcmp(name, "connections")) with.connections = (int)number(name, text, 1, MOST_CONNECTIONS);
  else if (!strcmp(name, "warm")) with.warm = number(name, text, 0, 3600);
  else with.seconds = number(name, text, 0.1, 3600);
}

static void read_options(int count, char **arguments) {
  static const struct option options[] = {{"server", 1, 0, 0},      {"body", 1, 0, 0},   {"path", 1, 0, 0}, {"header", 1, 0, 0},
                                          {"each-header", 1, 0, 0}, {"wanted", 1, 0, 0}, {"cpu", 1, 0, 0},  {"warm", 1, 0, 0},
                                          {"connections", 1, 0, 0}, {"seconds", 1, 0, 0}, {"help", 0, 0, 0}, {0}};
  for (int found, at; (found = getopt_long(count, arguments, "", options, &at)) != -1;) {
    if (found == '?') fail(EXIT_USAGE, "%s", USAGE);
    if (!strcmp(options[at].name, "help")) {
      fputs(USAGE, stdout);
      exit(0);
    }
    take_option(options[at].name, optarg);
  }
  if (optind < count) fail(EXIT_USAGE, "unexpected: %s\n%s", arguments[optind], USAGE);
  if (!with.port || !with.body) fail(EXIT_USAGE, "--server and --body are needed\n%s", USAGE);
}

/* The lines of a file, each with this ending. */
static Lines lines_of(const char *option, const char *path, const char *ending) {
  FILE *file = fopen(path, "r");
  if (!file) fail(EXIT_USAGE, "--%s: cannot read %s: %s", option, path, strerror(errno));
  Lines lines = {.line = room_for(NULL, MOST_LINES * sizeof(char *))};
  char text[65536];
  while (fgets(text, sizeof text - 4, file)) {
    if (lines.count == MOST_LINES || strlen(text) == sizeof text - 5) fail(EXIT_USAGE, "--%s: expected at most %d lines of %zu bytes", option, MOST_LINES, sizeof text - 6);
    text[strcspn(text, "\r\n")] = 0;
    lines.line[lines.count++] = strdup(strcat(text, ending));
  }
  fclose(file);
  if (!lines.count) fail(EXIT_USAGE, "--%s: nothing in %s", option, path);
  return lines;
}

static void prepare(void) {
  size_t longest = 0;
  bodies = lines_of("body", with.body, "");
  for (int i = 0; i < bodies.count; i++) longest = strlen(bodies.line[i]) > longest ? strlen(bodies.line[i]) : longest;
  if (with.each_header) own_headers = lines_of("each-header", with.each_header, "\r\n");
  request = room_for(NULL, longest + sizeof with.headers + 65536 + 1024);
}

int main(int count, char **arguments) {
  read_options(count, arguments);
  signal(SIGPIPE, SIG_IGN);
  prepare();
  latencies_open(&latencies);
  events_fd = epoll_create1(0);
  Connection *connections = calloc((size_t)with.connections, sizeof *connections);
  if (!connections) fail(1, "no memory for connections");
  for (int i = 0; i < with.connections; i++) {
    connections[i].own_header = own_headers.count ? own_headers.line[i % own_headers.count] : "";
    open_connection(&connections[i]);
  }
  load_for(with.warm);
  measure();
  return 0;
}
