/* load: the other end of a measurement of the network, small enough to run in any container.
 *
 *   load echo PORT                       answers every UDP packet and every byte of one TCP connection after another
 *   load sink PORT                       takes what TCP connections send
 *   load ping HOST PORT SECONDS [fresh]  one packet at a time, by UDP; "fresh": each from a port of its own, so that each is a
 *                                        new connection to the firewall. Prints: packets/s, median µs, 99th percentile µs
 *   load pour HOST PORT SECONDS          sends by TCP as fast as it can. Prints: MiB/s
 *   load dns HOST NAME SECONDS RATE      asks for the A record of NAME; RATE questions a second, or 0: as many as are answered,
 *                                        with at most 64 on their way. Prints: answers/s, median µs, 99th percentile µs, lost
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MANY 4000000
static float *took; /* microseconds of each answer */
static long count;

static void die(const char *what) {
	perror(what);
	exit(1);
}

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static struct sockaddr_in at(const char *host, int port) {
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	if (inet_pton(AF_INET, host, &a.sin_addr) != 1) die(host);
	return a;
}

static int by_value(const void *a, const void *b) {
	float x = *(const float *)a, y = *(const float *)b;
	return (x > y) - (x < y);
}

static void told(double seconds) {
	qsort(took, count, sizeof *took, by_value);
	printf("%.0f %.1f %.1f", count / seconds, count ? took[count / 2] : 0, count ? took[count * 99 / 100] : 0);
}

static void *packets(void *port) {
	static char room[65536];
	struct sockaddr_in me = at("0.0.0.0", *(int *)port), who;
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	if (bind(s, (void *)&me, sizeof me)) die("bind");
	for (;;) {
		socklen_t n = sizeof who;
		ssize_t length = recvfrom(s, room, sizeof room, 0, (void *)&who, &n);
		if (length >= 0) sendto(s, room, length, 0, (void *)&who, n);
	}
	return NULL;
}

static void streams(int port, int back) {
	static char room[1 << 18];
	struct sockaddr_in me = at("0.0.0.0", port);
	int one = 1, s = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(s, (void *)&me, sizeof me) || listen(s, 64)) die("listen");
	for (;;) {
		int c = accept(s, NULL, NULL);
		ssize_t length;
		setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		while ((length = read(c, room, sizeof room)) > 0)
			if (back && write(c, room, length) < 0) break;
		close(c);
	}
}

static int towards(const char *host, int port, int kind) {
	struct sockaddr_in a = at(host, port);
	struct timeval limit = {.tv_sec = 1};
	int s = socket(AF_INET, kind, 0);
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (connect(s, (void *)&a, sizeof a)) die("connect");
	return s;
}

static void ping(const char *host, int port, double seconds, int fresh) {
	char room[64] = "ping";
	double began = now(), sent, end = began + seconds;
	int s = towards(host, port, SOCK_DGRAM);
	while ((sent = now()) < end && count < MANY) {
		if (fresh) {
			close(s);
			s = towards(host, port, SOCK_DGRAM);
		}
		if (send(s, room, 32, 0) < 0 || recv(s, room, sizeof room, 0) < 0) continue;
		took[count++] = (now() - sent) * 1e6;
	}
	told(now() - began);
	puts("");
}

static void pour(const char *host, int port, double seconds) {
	static char room[1 << 17];
	int s = towards(host, port, SOCK_STREAM);
	double began = now(), sum = 0;
	while (now() < began + seconds) {
		ssize_t length = write(s, room, sizeof room);
		if (length < 0) die("write");
		sum += length;
	}
	printf("%.1f\n", sum / (now() - began) / (1 << 20));
}

/* A question for the A record of a name; gives its length. */
static int question(char *to, const char *name) {
	char *length = to + 12, *next = length + 1;
	memcpy(to, "\0\0\1\0\0\1\0\0\0\0\0\0", 12);
	for (; ; name++) {
		if (*name == '.' || !*name) {
			*length = next - length - 1;
			length = next++;
			if (!*name) break;
		} else
			*next++ = *name;
	}
	*length = 0;
	memcpy(next, "\0\1\0\1", 4);
	return next + 4 - to;
}

static void dns(const char *host, const char *name, double seconds, double rate) {
	static double sent[65536];
	char ask[300], room[4096];
	int length = question(ask, name), s = towards(host, 53, SOCK_DGRAM);
	uint16_t id = 0;
	long asked = 0, open = 0;
	double began = now(), t, end = began + seconds, drained = rate > 0 ? 0.3 : 0;
	while ((t = now()) < end + drained && count < MANY) {
		int due = rate > 0 ? t < end && asked < (t - began) * rate : open < 64;
		if (due) {
			id++;
			asked++;
			if (sent[id] == 0) open++; /* else the one of 65,536 questions ago was lost */
			sent[id] = t;
			ask[0] = id >> 8, ask[1] = id & 255;
			send(s, ask, length, 0);
			if (rate <= 0) continue;
		}
		struct pollfd p = {.fd = s, .events = POLLIN};
		if (poll(&p, 1, rate > 0 ? 0 : 100) == 0) {
			if (rate <= 0) open = 0; /* lost, all of them */
			continue;
		}
		ssize_t n;
		while ((n = recv(s, room, sizeof room, MSG_DONTWAIT)) > 12) {
			uint16_t of = (uint8_t)room[0] << 8 | (uint8_t)room[1];
			if (sent[of] == 0 || room[7] == 0) continue;
			took[count++] = (now() - sent[of]) * 1e6;
			sent[of] = 0;
			if (open > 0) open--;
		}
	}
	told(now() - began - drained);
	printf(" %ld\n", asked - count);
}

int main(int n, char **word) {
	took = malloc(MANY * sizeof *took);
	if (n == 3 && !strcmp(word[1], "echo")) {
		int port = atoi(word[2]);
		pthread_t thread;
		pthread_create(&thread, NULL, packets, &port);
		streams(port, 1);
	} else if (n == 3 && !strcmp(word[1], "sink"))
		streams(atoi(word[2]), 0);
	else if (n >= 5 && !strcmp(word[1], "ping"))
		ping(word[2], atoi(word[3]), atof(word[4]), n > 5);
	else if (n == 5 && !strcmp(word[1], "pour"))
		pour(word[2], atoi(word[3]), atof(word[4]));
	else if (n == 6 && !strcmp(word[1], "dns"))
		dns(word[2], word[3], atof(word[4]), atof(word[5]));
	else
		return fputs("see the top of benches/load.c\n", stderr), 2;
	return 0;
}
