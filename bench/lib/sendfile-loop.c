// What the machine can do: `recv PORT` takes a connection's bytes without looking at them (MSG_TRUNC copies
// nothing, as a network card would take them); `send FILE RANGE TOTAL` listens, tells its port, and sends
// ranges of a file, each behind 60 bytes, with blocking sendfile; at the end it tells its CPU seconds.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in loopback(int port) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return at;
}

static int receive(int port) {
  static char bytes[1 << 20];
  struct sockaddr_in at = loopback(port);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr *)&at, sizeof at) != 0) return 1;
  long long total = 0;
  for (ssize_t n; (n = recv(fd, bytes, sizeof bytes, MSG_TRUNC)) > 0;) total += n;
  printf("%lld\n", total);
  return 0;
}

static int serve(const char *path, long range, long long total) {
  int listener = socket(AF_INET, SOCK_STREAM, 0), file = open(path, O_RDONLY);
  struct sockaddr_in at = loopback(0);
  socklen_t size = sizeof at;
  if (bind(listener, (struct sockaddr *)&at, size) != 0 || listen(listener, 1) != 0) return 1;
  getsockname(listener, (struct sockaddr *)&at, &size);
  printf("%d\n", ntohs(at.sin_port));
  fflush(stdout);
  int fd = accept(listener, NULL, NULL);
  char head[60] = {0};
  for (long long sent = 0; sent < total; sent += range) {
    if (write(fd, head, sizeof head) != sizeof head) return 1;
    off_t position = 0;
    while (position < range)
      if (sendfile(fd, file, &position, range - position) <= 0) return 1;
  }
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  printf("%f\n", used.ru_utime.tv_sec + used.ru_stime.tv_sec +
                     (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
  return 0;
}

int main(int count, char **args) {
  if (count == 3 && strcmp(args[1], "recv") == 0) return receive(atoi(args[2]));
  if (count == 5) return serve(args[2], atol(args[3]), atoll(args[4]));
  return 2;
}
