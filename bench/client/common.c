#define _GNU_SOURCE
#include "common.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BINS 10000000 /* ten seconds */
#define DIAL_TRIES 50
#define DIAL_PAUSE_US 100000

void fail(int status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  exit(status);
}

double number(const char *option, const char *text, double least, double most) {
  char *end = NULL;
  double value = strtod(text, &end);
  if (end == text || *end || !isfinite(value) || value < least || value > most)
    fail(EXIT_USAGE, "--%s: expected a number from %g to %g, got '%s'", option, least, most, text);
  return value;
}

int64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

double own_cpu(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
}

/* CPU seconds of all threads of a process so far; -1 when it is not there. */
static double cpu_of(int pid) {
  char path[64], text[2048];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  FILE *file = fopen(path, "r");
  if (!file) return -1;
  size_t length = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[length] = 0;
  unsigned long user = 0, system = 0;
  const char *after_name = strrchr(text, ')');
  if (!after_name || sscanf(after_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2) return -1;
  return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

void watch_add(Watch *watch, const char *text) {
  if (watch->count == MOST_WATCHED) fail(EXIT_USAGE, "--cpu: at most %d processes", MOST_WATCHED);
  Watched *process = &watch->process[watch->count++];
  char rest;
  if (sscanf(text, "%31[a-z-]=%d%c", process->name, &process->pid, &rest) != 2 || cpu_of(process->pid) < 0)
    fail(EXIT_USAGE, "--cpu: expected NAME=PID of a running process, got '%s'", text);
}

void watch_begin(Watch *watch) {
  for (int i = 0; i < watch->count; i++) watch->process[i].before = cpu_of(watch->process[i].pid);
}

void watch_end(Watch *watch) {
  for (int i = 0; i < watch->count; i++) {
    double now = cpu_of(watch->process[i].pid);
    if (now < 0) fail(EXIT_PEER, "process %d (%s) has ended", watch->process[i].pid, watch->process[i].name);
    watch->process[i].spent = now - watch->process[i].before;
  }
}

double watch_spent(const Watch *watch, const char *name) {
  for (int i = 0; i < watch->count; i++)
    if (!strcmp(watch->process[i].name, name)) return watch->process[i].spent;
  return 0;
}

void watch_print(const Watch *watch) {
  printf("\"cpu\":{");
  for (int i = 0; i < watch->count; i++) printf("%s\"%s\":%.2f", i ? "," : "", watch->process[i].name, watch->process[i].spent);
  printf("}");
}

void latencies_open(Latencies *latencies) {
  latencies->bin = calloc(BINS, sizeof *latencies->bin);
  if (!latencies->bin) fail(1, "no memory for latencies");
  latencies->count = latencies->most_us = 0;
}

void latencies_add(Latencies *latencies, int64_t us) {
  if (us < 0) us = 0;
  if (us > latencies->most_us) latencies->most_us = us;
  latencies->bin[us < BINS ? us : BINS - 1]++;
  latencies->count++;
}

/* Milliseconds below which this share lies (nearest rank). */
static double percentile(const Latencies *latencies, double share) {
  long wanted = (long)(share * (double)latencies->count), seen = 0;
  for (long us = 0; us < BINS; us++) {
    seen += latencies->bin[us];
    if (seen > wanted) return (double)us / 1000;
  }
  return 0;
}

void latencies_print(const Latencies *latencies) {
  printf("\"latency_ms\":{\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"most\":%.3f}", percentile(latencies, .5), percentile(latencies, .9),
         percentile(latencies, .99), (double)latencies->most_us / 1000);
}

static struct sockaddr_in address_of(const char *host, int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1) fail(EXIT_USAGE, "expected an IPv4 address, got '%s'", host);
  return address;
}

int dial(const char *host, int port, const char *from) {
  struct sockaddr_in to = address_of(host, port);
  int one = 1;
  for (int attempt = 0; attempt < DIAL_TRIES; attempt++) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) fail(EXIT_USAGE, "no socket: %s; is the limit of open files (ulimit -n) too low?", strerror(errno));
    if (from) {
      struct sockaddr_in source = address_of(from, 0);
      setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
      if (bind(fd, (struct sockaddr *)&source, sizeof source)) fail(EXIT_USAGE, "cannot use the address %s: %s", from, strerror(errno));
    }
    if (!connect(fd, (struct sockaddr *)&to, sizeof to)) {
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      return fd;
    }
    close(fd);
    usleep(DIAL_PAUSE_US);
  }
  fail(EXIT_PEER, "nobody answers at %s:%d: %s", host, port, strerror(errno));
}

int host_and_port(const char *option, const char *text, char *host, size_t room) {
  const char *colon = strrchr(text, ':');
  if (!colon || colon == text || (size_t)(colon - text) >= room) fail(EXIT_USAGE, "--%s: expected HOST:PORT, got '%s'", option, text);
  memcpy(host, text, (size_t)(colon - text));
  host[colon - text] = 0;
  return (int)number(option, colon + 1, 1, 65535);
}

void write_all(int fd, const char *bytes, size_t count) {
  while (count > 0) {
    ssize_t written = write(fd, bytes, count);
    if (written < 0 && errno == EAGAIN) {
      struct pollfd wait = {.fd = fd, .events = POLLOUT};
      poll(&wait, 1, 1000);
    } else if (written < 0 && errno != EINTR) {
      fail(EXIT_PEER, "cannot write: %s", strerror(errno));
    } else if (written > 0) {
      bytes += written;
      count -= (size_t)written;
    }
  }
}

void *room_for(void *old, size_t count) {
  void *room = realloc(old, count);
  if (!room) fail(1, "no memory");
  return room;
}
