/* What both load clients need: clocks, CPU time of processes, latencies, connections, and an end with a message. */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <stddef.h>
#include <stdint.h>

#define MOST_WATCHED 8
#define SHARE_OF(part, whole) ((whole) > 0 ? (double)(part) / (double)(whole) : 0.0)

enum { EXIT_USAGE = 2, EXIT_PEER = 3, EXIT_SILENT = 4 };

/* A process whose CPU time is reported, `NAME=PID`. */
typedef struct {
  char name[32];
  int pid;
  double before, spent; /* seconds */
} Watched;

typedef struct {
  Watched process[MOST_WATCHED];
  int count;
} Watch;

/* Latencies, counted in bins of a microsecond; what took longer than the last bin counts there. */
typedef struct {
  uint32_t *bin;
  long count;
  long most_us;
} Latencies;

/* Print to standard error and end with this status. */
void fail(int status, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));
/* The number of an option's text; ends with EXIT_USAGE when it is none or lies outside. */
double number(const char *option, const char *text, double least, double most);

/* Microseconds of the monotonic clock. */
int64_t now_us(void);
/* CPU seconds this process has used. */
double own_cpu(void);

void watch_add(Watch *watch, const char *text);
void watch_begin(Watch *watch);
void watch_end(Watch *watch);
/* Seconds that the process of this name spent between begin and end; 0 when it is not watched. */
double watch_spent(const Watch *watch, const char *name);
/* `"cpu":{"name":seconds,…}` */
void watch_print(const Watch *watch);

void latencies_open(Latencies *latencies);
void latencies_add(Latencies *latencies, int64_t us);
/* `"latency_ms":{"p50":…}` */
void latencies_print(const Latencies *latencies);

/* A connected socket with TCP_NODELAY; tries again for five seconds. `from`: source address, or NULL for the system's choice. */
int dial(const char *host, int port, const char *from);
/* Split `HOST:PORT`; ends with EXIT_USAGE when it is not that. */
int host_and_port(const char *option, const char *text, char *host, size_t room);
/* Write everything to a socket, waiting for room where there is none. */
void write_all(int fd, const char *bytes, size_t count);
/* Memory, or an end. */
void *room_for(void *old, size_t count);

#endif
