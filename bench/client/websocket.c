#define _GNU_SOURCE
#include "websocket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define READ_ROOM (512 * 1024)
#define MOST_HEAD 14
#define ANSWER_SECONDS 20

static char shared[READ_ROOM];

void socket_send(Socket *socket, int opcode, const char *payload, size_t length) {
  static char frame[256 * 1024];
  if (length + MOST_HEAD > sizeof frame) fail(EXIT_USAGE, "a message of %zu bytes is too long", length);
  size_t head = 2;
  frame[0] = (char)(0x80 | opcode);
  if (length < 126) {
    frame[1] = (char)(0x80 | length);
  } else if (length < 65536) {
    frame[1] = (char)(0x80 | 126);
    frame[2] = (char)(length >> 8);
    frame[3] = (char)length;
    head = 4;
  } else {
    frame[1] = (char)(0x80 | 127);
    for (int i = 0; i < 8; i++) frame[2 + i] = (char)((uint64_t)length >> (56 - 8 * i));
    head = 10;
  }
  memset(frame + head, 0, 4); /* a mask of zeros changes nothing */
  memcpy(frame + head + 4, payload, length);
  write_all(socket->fd, frame, head + 4 + length);
}

/* Keep what belongs to a frame that is not whole yet. */
static void keep(Socket *socket, const char *bytes, size_t count) {
  if (count > socket->rest_room) {
    socket->rest = room_for(socket->rest, count);
    socket->rest_room = count;
  }
  memcpy(socket->rest, bytes, count);
  socket->rest_length = count;
}

/* Length of the head and of the payload of the frame at the start; 0 when the head is not whole. */
static size_t frame_head(const unsigned char *bytes, size_t count, uint64_t *length) {
  if (count < 2) return 0;
  *length = bytes[1] & 127;
  size_t head = *length == 126 ? 4 : *length == 127 ? 10 : 2;
  if (count < head) return 0;
  if (head > 2) {
    *length = 0;
    for (size_t i = 2; i < head; i++) *length = *length << 8 | bytes[i];
  }
  return head;
}

/* Hand on all whole frames; gives how many bytes they took. */
static size_t frames(Socket *socket, const char *bytes, size_t count, OnFrame on_frame) {
  size_t taken = 0;
  uint64_t length;
  for (size_t head; (head = frame_head((const unsigned char *)bytes + taken, count - taken, &length)); taken += head + length) {
    if (length > READ_ROOM - MOST_HEAD) fail(EXIT_PEER, "a frame of %llu bytes", (unsigned long long)length);
    if (count - taken < head + length) break;
    on_frame(socket, bytes[taken] & 15, bytes + taken + head, length);
  }
  return taken;
}

int socket_read(Socket *socket, OnFrame on_frame, long *bytes) {
  for (;;) {
    size_t before = socket->rest_length;
    if (before) memcpy(shared, socket->rest, before);
    ssize_t got = recv(socket->fd, shared + before, READ_ROOM - before, 0);
    if (got == 0) return 0;
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    *bytes += got;
    size_t count = before + (size_t)got, taken = frames(socket, shared, count, on_frame);
    keep(socket, shared + taken, count - taken);
    if (count < READ_ROOM) return 1; /* drained: no call that would only say so */
  }
}

/* Read until `end` has arrived; gives where it ends. What follows it stays in `text`. */
static size_t read_until(int fd, const char *end, char *text, size_t room, size_t *length, const char *what) {
  char *found;
  while (!(found = memmem(text, *length, end, strlen(end)))) {
    if (*length == room) fail(EXIT_PEER, "%s: too long an answer", what);
    ssize_t got = recv(fd, text + *length, room - *length, 0);
    if (got <= 0) fail(EXIT_PEER, "%s: %s; so far: %.*s", what, got ? strerror(errno) : "the server hung up", (int)*length, text);
    *length += (size_t)got;
  }
  return (size_t)(found - text) + strlen(end);
}

static int acknowledged;

static void on_start(Socket *socket, int opcode, const char *payload, size_t length) {
  if (opcode == PING)
    socket_send(socket, PONG, payload, length);
  else if (opcode == TEXT && memmem(payload, length, "connection_ack", 14))
    acknowledged = 1;
  else
    fail(EXIT_PEER, "not acknowledged: %.*s", (int)length, payload);
}

static void initialise(Socket *socket, const char *token) {
  char message[4096];
  long bytes = 0;
  int count = token ? snprintf(message, sizeof message, "{\"type\":\"connection_init\",\"payload\":{\"authorization\":\"Bearer %s\"}}", token)
                    : snprintf(message, sizeof message, "{\"type\":\"connection_init\"}");
  if (count >= (int)sizeof message) fail(EXIT_USAGE, "--token: too long");
  socket_send(socket, TEXT, message, (size_t)count);
  int64_t until = now_us() + ANSWER_SECONDS * 1000000;
  for (acknowledged = 0; !acknowledged;)
    if (!socket_read(socket, on_start, &bytes) || now_us() > until) fail(EXIT_PEER, "connection_init was not acknowledged");
}

void socket_open(Socket *socket, const char *host, int port, const char *path, const char *from, const char *token, int raw) {
  char text[8192];
  struct timeval patience = {.tv_sec = ANSWER_SECONDS};
  socket->fd = dial(host, port, from);
  setsockopt(socket->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  int count = snprintf(text, sizeof text,
                       "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " KEY
                       "\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n",
                       path, host, port);
  write_all(socket->fd, text, (size_t)count);
  size_t length = 0, end = read_until(socket->fd, "\r\n\r\n", text, sizeof text, &length, "handshake");
  if (strncmp(text, "HTTP/1.1 101", 12) || !memmem(text, end, ACCEPT, strlen(ACCEPT)))
    fail(EXIT_PEER, "no WebSocket: %.*s", (int)end, text);
  keep(socket, text + end, length - end);
  if (!raw) initialise(socket, token);
  fcntl(socket->fd, F_SETFL, fcntl(socket->fd, F_GETFL) | O_NONBLOCK);
}
