/* fan: how many deliveries does a server make of each tick, and how late do they come?
 *
 * One thread opens many WebSockets, subscribes on each (graphql-transport-ws), and then PUBLISHES the ticks itself over a control
 * connection, one JSON object a line. So the moment of publishing and that of arrival are of one clock, and every server gets the same
 * ticks. A tick's `sequence` counts over all markets; it comes back in every delivery and tells which tick it was.
 *
 * Checked of every delivery: that it carries the id of its own socket's operation, that it is text, and that its sequence follows
 * the one before. Counted besides: errors, closed sockets, and what never came.
 *
 * Prints one JSON object. README: docs/performance.md.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "common.h"
#include "websocket.h"

#define MOST_SOCKETS 50000
#define MOST_OPERATIONS 4096
#define MOST_SYMBOLS 500
#define STAMPS (1 << 16) /* ticks under way at most */
#define LIVE_TRIES 8
#define LIVE_SECONDS 10
#define STALLED_SECONDS 5
#define DRAIN_SECONDS 5
#define SAID_AT_MOST 2

enum Mode { CLOSED, RATE, IDLE };

static struct {
  char host[64], control[64];
  int port, control_port;
  const char *path, *token;
  int sockets, window, warm, raw, addresses;
  double rate, seconds;
  enum Mode mode;
  char *operation[MOST_OPERATIONS];
  int operations;
  char *symbol[MOST_SYMBOLS];
  int symbols;
} with = {.path = "/graphql", .sockets = 1000, .window = 2, .warm = 5, .addresses = 1, .rate = 20, .seconds = 5};

static struct {
  long received, bytes, wrong_id, binary, errors, closed, repeated, missed;
} seen;

static Socket *sockets;
static Watch watch;
static Latencies latencies;
static int64_t published_us[STAMPS];
static long first_sequence, sequence;
static int measuring, events_fd, control_fd;

static const char USAGE[] =
    "usage: fan --server HOST:PORT --control HOST:PORT (--operations FILE | --raw) [options]\n"
    "  --server HOST:PORT     the server under test\n"
    "  --control HOST:PORT    where ticks are published, one JSON object a line\n"
    "  --operations FILE      what to subscribe: one payload of `subscribe` a line, given to the sockets in turn\n"
    "  --raw                  subscribe nothing: the server sends to every open WebSocket\n"
    "  --symbols A,B,…        markets of the ticks, in turn\n"
    "  --mode closed          keep --window ticks under way: throughput (default)\n"
    "  --mode rate            publish --rate ticks a second whatever comes back: latency\n"
    "  --mode idle            subscribe, print `ready`, and publish nothing until standard input ends\n"
    "  --sockets N (1000)  --window N (2)  --rate N (20)  --seconds N (5)  --warm TICKS (5)  --path PATH (/graphql)\n"
    "  --addresses N          connect from 127.0.0.1 to 127.0.0.N in turn (1)\n"
    "  --token TOKEN          sent with connection_init\n"
    "  --cpu NAME=PID         a process whose CPU seconds are reported; `server` is what deliveries are divided by\n"
    "exit status: 2 wrong usage, 3 the server refuses or fails, 4 subscribers hear nothing\n";

/* ---- what arrives ---- */

static void judge_id(Socket *socket, const char *payload, size_t length) {
  size_t size = sizeof socket->id - 1;
  long at = socket->id_at >= 0 ? socket->id_at : (long)length + socket->id_at;
  if (at >= 0 && (size_t)at + size <= length && !memcmp(payload + at, socket->id, size)) return;
  const char *found = memmem(payload, length, socket->id, size);
  if (!found)
    seen.wrong_id++;
  else
    socket->id_at = found - payload < (long)length / 2 ? found - payload : found - payload - (long)length;
}

static void on_tick(Socket *socket, const char *payload, size_t length, const char *digits) {
  int64_t now = now_us();
  long number = 0;
  for (; *digits >= '0' && *digits <= '9'; digits++) number = number * 10 + (*digits - '0');
  if (measuring && number < first_sequence) return; /* left over from warming up */
  seen.received++;
  if (!with.raw) judge_id(socket, payload, length);
  if (number > sequence) seen.errors++;
  if (!measuring || number > sequence) return;
  if (number <= socket->last)
    seen.repeated++;
  else if (socket->last >= first_sequence && number > socket->last + 1)
    seen.missed += number - socket->last - 1;
  socket->last = number;
  latencies_add(&latencies, now - published_us[number % STAMPS]);
}

static void on_message(Socket *socket, const char *payload, size_t length) {
  static const char NAME[] = "\"sequence\":";
  const char *tick = memmem(payload, length, NAME, sizeof NAME - 1);
  if (tick) {
    const char *digits = tick + sizeof NAME - 1;
    on_tick(socket, payload, length, *digits == ' ' ? digits + 1 : digits);
  } else if (memmem(payload, length, "\"ping\"", 6)) {
    socket_send(socket, TEXT, "{\"type\":\"pong\"}", 15);
  } else if (!memmem(payload, length, "\"pong\"", 6) && seen.errors++ < SAID_AT_MOST) {
    fprintf(stderr, "the server said: %.*s\n", (int)(length < 400 ? length : 400), payload);
  }
}

static void on_frame(Socket *socket, int opcode, const char *payload, size_t length) {
  if (opcode == TEXT) {
    on_message(socket, payload, length);
  } else if (opcode == BINARY) {
    seen.binary++;
  } else if (opcode == PING) {
    socket_send(socket, PONG, payload, length);
  } else if (opcode == CLOSE && seen.closed < SAID_AT_MOST) {
    int code = length > 1 ? (unsigned char)payload[0] << 8 | (unsigned char)payload[1] : 0;
    fprintf(stderr, "the server closed a socket: %d %.*s\n", code, (int)(length > 2 ? length - 2 : 0), payload + 2);
  }
}

static void poll_for(int64_t us) {
  static struct epoll_event events[1024];
  static char unread[65536];
  int count = epoll_wait(events_fd, events, 1024, (int)(us > 0 ? (us + 999) / 1000 : 0));
  for (int i = 0; i < count; i++) {
    Socket *socket = events[i].data.ptr;
    if (!socket) {
      if (read(control_fd, unread, sizeof unread) > 0) continue;
      if (with.mode == IDLE) exit(0);
      fail(EXIT_PEER, "the control connection was closed");
    } else if (!socket_read(socket, on_frame, &seen.bytes)) {
      seen.closed++;
      close(socket->fd);
    }
  }
}

static void poll_until(int64_t until, long wanted) {
  while (seen.received < wanted && now_us() < until) poll_for(until - now_us());
}

/* ---- what is published ---- */

static void publish(void) {
  char line[512], moment[32];
  struct timespec t;
  struct tm utc;
  long number = ++sequence, cents = 6000000 + number % 1000 * 25;
  clock_gettime(CLOCK_REALTIME, &t);
  strftime(moment, sizeof moment, "%Y-%m-%dT%H:%M:%S", gmtime_r(&t.tv_sec, &utc));
  int length = snprintf(line, sizeof line,
                        "{\"symbol\":\"%s\",\"price\":\"%ld.%02ld\",\"bid\":\"%ld.%02ld\",\"ask\":\"%ld.%02ld\",\"time\":\"%s.%03ldZ\",\"sequence\":%ld}\n",
                        with.symbol[number % with.symbols], cents / 100, cents % 100, (cents - 51) / 100, (cents - 51) % 100, (cents + 51) / 100,
                        (cents + 51) % 100, moment, t.tv_nsec / 1000000, number);
  published_us[number % STAMPS] = now_us();
  write_all(control_fd, line, (size_t)length);
}

static long closed_loop(int64_t start, int64_t end, int *stalled) {
  long sent = 0, last = 0;
  for (int64_t now = start, heard = start; now < end; now = now_us()) {
    for (; sent - seen.received / with.sockets < with.window; sent++) publish();
    poll_for(100000);
    if (seen.received != last) {
      last = seen.received;
      heard = now;
    } else if (now - heard > STALLED_SECONDS * 1000000) {
      *stalled = 1;
      break;
    }
  }
  return sent;
}

static long at_a_rate(int64_t start, int64_t end) {
  long sent = 0;
  int64_t pause = (int64_t)(1e6 / with.rate), next = start;
  for (int64_t now = start; now < end; now = now_us()) {
    if (now >= next) {
      publish();
      sent++;
      next += pause;
    } else {
      poll_for((next < end ? next : end) - now);
    }
  }
  return sent;
}

/* ---- from start to end ---- */

static void open_sockets(void) {
  char from[32], message[65536];
  sockets = calloc((size_t)with.sockets, sizeof *sockets);
  if (!sockets) fail(1, "no memory for sockets");
  for (int i = 0; i < with.sockets; i++) {
    Socket *socket = &sockets[i];
    snprintf(from, sizeof from, "127.0.0.%d", i % with.addresses + 1);
    snprintf(socket->id, sizeof socket->id, "%08x-0000-4000-8000-%012x", (unsigned)i * 2654435761u, (unsigned)i);
    socket_open(socket, with.host, with.port, with.path, with.addresses > 1 ? from : NULL, with.token, with.raw);
    if (!with.raw) {
      int length = snprintf(message, sizeof message, "{\"id\":\"%s\",\"type\":\"subscribe\",\"payload\":%s}", socket->id, with.operation[i % with.operations]);
      if (length >= (int)sizeof message) fail(EXIT_USAGE, "--operations: line %d is too long", i % with.operations + 1);
      socket_send(socket, TEXT, message, (size_t)length);
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = socket};
    epoll_ctl(events_fd, EPOLL_CTL_ADD, socket->fd, &event);
    if (i % 50 == 0) poll_for(0);
  }
}

static void open_control(void) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  control_fd = dial(with.control, with.control_port, NULL);
  epoll_ctl(events_fd, EPOLL_CTL_ADD, control_fd, &event);
}

/* Publish until one tick has reached every socket, then a few more that are not measured. */
static void warm_up(void) {
  for (int attempt = 0;; attempt++) {
    poll_until(now_us() + 300000, seen.received + (1L << 40));
    long wanted = seen.received + with.sockets;
    publish();
    poll_until(now_us() + LIVE_SECONDS * 1000000, wanted);
    if (seen.received >= wanted) break;
    if (attempt == LIVE_TRIES) fail(EXIT_SILENT, "a tick reached only %ld of %d sockets", seen.received - wanted + with.sockets, with.sockets);
  }
  for (int i = 0; i < with.warm; i++) {
    long wanted = seen.received + with.sockets;
    publish();
    poll_until(now_us() + LIVE_SECONDS * 1000000, wanted);
  }
  poll_until(now_us() + 300000, seen.received + (1L << 40));
}

static void measure(double connect_seconds) {
  int stalled = 0;
  seen.received = seen.bytes = 0;
  first_sequence = sequence + 1;
  measuring = 1;
  double own = own_cpu();
  watch_begin(&watch);
  int64_t start = now_us(), end = start + (int64_t)(with.seconds * 1e6);
  long sent = with.mode == CLOSED ? closed_loop(start, end, &stalled) : at_a_rate(start, end);
  double seconds = (double)(now_us() - start) / 1e6;
  long received = seen.received, bytes = seen.bytes;
  watch_end(&watch);
  own = own_cpu() - own;
  poll_until(now_us() + DRAIN_SECONDS * 1000000, sent * with.sockets);
  printf("{\"sockets\":%d,\"seconds\":%.3f,\"ticks\":%ld,\"deliveries\":%ld,\"per_second\":%.1f,\"per_server_cpu_second\":%.1f,", with.sockets, seconds,
         sent, received, (double)received / seconds, SHARE_OF(received, watch_spent(&watch, "server")));
  watch_print(&watch);
  printf(",\"client_cpu\":%.3f,\"bytes_per_delivery\":%.1f,", own / seconds, SHARE_OF(bytes, received));
  latencies_print(&latencies);
  printf(",\"lost\":%ld,\"missed\":%ld,\"repeated\":%ld,\"wrong_id\":%ld,\"binary\":%ld,\"errors\":%ld,\"closed\":%ld,\"stalled\":%d,\"connect_seconds\":%.2f}\n",
         sent * with.sockets - seen.received, seen.missed, seen.repeated, seen.wrong_id, seen.binary, seen.errors, seen.closed, stalled, connect_seconds);
}

static void stay_idle(void) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  control_fd = STDIN_FILENO;
  printf("ready\n");
  fflush(stdout);
  if (epoll_ctl(events_fd, EPOLL_CTL_ADD, STDIN_FILENO, &event)) fail(EXIT_USAGE, "--mode idle: standard input must be a pipe");
  for (;;) poll_for(1000000);
}

/* ---- options ---- */

static void read_operations(const char *name) {
  FILE *file = fopen(name, "r");
  if (!file) fail(EXIT_USAGE, "--operations: cannot read %s: %s", name, strerror(errno));
  char *line = NULL;
  size_t room = 0;
  for (ssize_t length; (length = getline(&line, &room, file)) > 1;) {
    if (with.operations == MOST_OPERATIONS) fail(EXIT_USAGE, "--operations: more than %d lines", MOST_OPERATIONS);
    line[strcspn(line, "\n")] = 0;
    with.operation[with.operations++] = strdup(line);
  }
  free(line);
  fclose(file);
  if (!with.operations) fail(EXIT_USAGE, "--operations: %s has no line", name);
}

static void read_symbols(char *text) {
  for (char *symbol = strtok(text, ","); symbol; symbol = strtok(NULL, ",")) {
    if (with.symbols == MOST_SYMBOLS || strlen(symbol) > 24) fail(EXIT_USAGE, "--symbols: at most %d, of 24 letters", MOST_SYMBOLS);
    with.symbol[with.symbols++] = symbol;
  }
}

static enum Mode mode_of(const char *text) {
  const char *const names[] = {"closed", "rate", "idle"};
  for (int i = 0; i < 3; i++)
    if (!strcmp(text, names[i])) return (enum Mode)i;
  fail(EXIT_USAGE, "--mode: expected closed, rate or idle, got '%s'", text);
}

static void take(const char *name, char *text) {
  if (!strcmp(name, "server")) with.port = host_and_port(name, text, with.host, sizeof with.host);
  else if (!strcmp(name, "control")) with.control_port = host_and_port(name, text, with.control, sizeof with.control);
  else if (!strcmp(name, "operations")) read_operations(text);
  else if (!strcmp(name, "raw")) with.raw = 1;
  else if (!strcmp(name, "symbols")) read_symbols(text);
  else if (!strcmp(name, "mode")) with.mode = mode_of(text);
  else if (!strcmp(name, "path")) with.path = text;
  else if (!strcmp(name, "token")) with.token = text;
  else if (!strcmp(name, "cpu")) watch_add(&watch, text);
  else if (!strcmp(name, "sockets")) with.sockets = (int)number(name, text, 1, MOST_SOCKETS);
  else if (!strcmp(name, "window")) with.window = (int)number(name, text, 1, 10000);
  else if (!strcmp(name, "warm")) with.warm = (int)number(name, text, 0, 10000);
  else if (!strcmp(name, "addresses")) with.addresses = (int)number(name, text, 1, 250);
  else if (!strcmp(name, "rate")) with.rate = number(name, text, 0.01, 100000);
  else with.seconds = number(name, text, 0.1, 3600);
}

static void read_options(int count, char **arguments) {
  static const struct option options[] = {
      {"server", 1, 0, 0}, {"control", 1, 0, 0}, {"operations", 1, 0, 0}, {"raw", 0, 0, 0},  {"symbols", 1, 0, 0}, {"mode", 1, 0, 0},
      {"path", 1, 0, 0},   {"token", 1, 0, 0},   {"cpu", 1, 0, 0},        {"warm", 1, 0, 0}, {"sockets", 1, 0, 0}, {"window", 1, 0, 0},
      {"rate", 1, 0, 0},   {"seconds", 1, 0, 0}, {"addresses", 1, 0, 0},  {"help", 0, 0, 0}, {0}};
  for (int found, at; (found = getopt_long(count, arguments, "", options, &at)) != -1;) {
    if (found == '?') fail(EXIT_USAGE, "%s", USAGE);
    if (!strcmp(options[at].name, "help")) {
      fputs(USAGE, stdout);
      exit(0);
    }
    take(options[at].name, optarg);
  }
  if (optind < count) fail(EXIT_USAGE, "unexpected: %s\n%s", arguments[optind], USAGE);
  if (!with.port) fail(EXIT_USAGE, "--server is missing\n%s", USAGE);
  if (with.raw == (with.operations > 0)) fail(EXIT_USAGE, "expected either --operations or --raw\n%s", USAGE);
  if (with.mode != IDLE && (!with.control_port || !with.symbols)) fail(EXIT_USAGE, "--control and --symbols are needed to publish\n%s", USAGE);
}

int main(int count, char **arguments) {
  struct timespec t;
  read_options(count, arguments);
  signal(SIGPIPE, SIG_IGN);
  clock_gettime(CLOCK_REALTIME, &t);
  sequence = (long)t.tv_sec * 1000; /* so that no run begins with a number that a former one has used */
  latencies_open(&latencies);
  events_fd = epoll_create1(0);
  int64_t start = now_us();
  open_sockets();
  double connect_seconds = (double)(now_us() - start) / 1e6;
  if (with.mode == IDLE) stay_idle();
  open_control();
  warm_up();
  measure(connect_seconds);
  return 0;
}
