/* The client's half of RFC 6455, as far as a load client needs it, with the start of graphql-transport-ws. */
#ifndef BENCH_WEBSOCKET_H
#define BENCH_WEBSOCKET_H

#include <stddef.h>

enum { TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

/* One socket. `rest` holds the beginning of a frame that has not wholly arrived. */
typedef struct {
  int fd;
  char id[37]; /* of its operation */
  char *rest;
  size_t rest_length, rest_room;
  long id_at; /* where the id was found last: from the start, or negative from the end */
  long last; /* sequence of the newest tick */
} Socket;

typedef void (*OnFrame)(Socket *socket, int opcode, const char *payload, size_t length);

/* Open with the WebSocket handshake, and with connection_init unless `raw`. Ends with EXIT_PEER when the server refuses. */
void socket_open(Socket *socket, const char *host, int port, const char *path, const char *from, const char *token, int raw);
/* Send one masked frame. */
void socket_send(Socket *socket, int opcode, const char *payload, size_t length);
/* Read what has arrived and hand on every whole frame. 0 when the peer has closed. Counts bytes in `*bytes`. */
int socket_read(Socket *socket, OnFrame on_frame, long *bytes);

#endif
