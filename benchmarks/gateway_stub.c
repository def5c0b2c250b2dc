/* A backend for bench_gateway: one thread, epoll, fixed answers, almost no work of its own.
 *
 *     gateway_stub PORT...
 *
 * A request whose body has "stream":true is answered with "max_tokens" events, one write each, with
 * "x_ms" milliseconds between them; GET with a list of models; everything else with one JSON body.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = 4096, LISTENING = 1, IDLE = 2, STREAMING = 3 };

static const char EVENT[] =
    "data: {\"id\":\"c-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\","
    "\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"},\"logprobs\":null,"
    "\"finish_reason\":null}]}\n\n";
static const char LAST[] =
    "data: {\"id\":\"c-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\","
    "\"choices\":[],\"usage\":{\"prompt_tokens\":231,\"total_tokens\":431,"
    "\"completion_tokens\":200}}\n\ndata: [DONE]\n\n";
static const char ANSWER[] =
    "{\"id\":\"c-1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{"
    "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"A quick brown fox jumps over the "
    "lazy dog, again and again, until the answer has about the length that answers have in tests "
    "of gateways. It then stops, as all good answers do in the end.\"},\"logprobs\":null,"
    "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":231,\"total_tokens\":280,"
    "\"completion_tokens\":49}}";
static const char MODELS[] =
    "{\"object\":\"list\",\"data\":[{\"id\":\"bench-model\",\"object\":\"model\"}]}";

static struct connection {
    int state;
    char *data;
    size_t length, room;
    int left, pause_ms;
    long long due_us;
} connections[CONNECTIONS];
static int loop;

static long long now_us(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000LL + time.tv_nsec / 1000;
}

static void forget(int fd) {
    free(connections[fd].data);
    memset(&connections[fd], 0, sizeof connections[fd]);
    close(fd);
}

static int write_all(int fd, const char *data, size_t length) {
    while (length) {
        ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            struct pollfd ready = {.fd = fd, .events = POLLOUT};
            poll(&ready, 1, 1000);
            continue;
        }
        if (sent < 0) return -1;
        data += sent;
        length -= sent;
    }
    return 0;
}

static int write_body(int fd, const char *body) {
    char answer[4096];
    int length = snprintf(answer, sizeof answer,
        "HTTP/1.1 200 OK\r\ndate: Fri, 20 Nov 2026 10:00:00 GMT\r\nserver: uvicorn\r\n"
        "content-length: %zu\r\ncontent-type: application/json\r\n\r\n%s", strlen(body), body);
    return write_all(fd, answer, length);
}

static int write_chunk(int fd, const char *body, const char *end) {
    char chunk[2048];
    int length = snprintf(chunk, sizeof chunk, "%zx\r\n%s\r\n%s", strlen(body), body, end);
    return write_all(fd, chunk, length);
}

static void stream(int fd) {
    struct connection *c = &connections[fd];
    while (c->left > 0) {
        if (c->pause_ms && now_us() < c->due_us) return;
        c->due_us += c->pause_ms * 1000LL;
        c->left--;
        if (write_chunk(fd, EVENT, "")) return forget(fd);
    }
    c->state = IDLE;
    if (write_chunk(fd, LAST, "0\r\n\r\n")) forget(fd);
}

static int number(const char *body, size_t length, const char *name) {
    const char *found = memmem(body, length, name, strlen(name));
    return found ? atoi(found + strlen(name)) : 0;
}

static void begin_stream(int fd, const char *body, size_t length) {
    struct connection *c = &connections[fd];
    static const char HEAD[] =
        "HTTP/1.1 200 OK\r\ndate: Fri, 20 Nov 2026 10:00:00 GMT\r\nserver: uvicorn\r\n"
        "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    c->left = number(body, length, "\"max_tokens\":");
    c->pause_ms = number(body, length, "\"x_ms\":");
    c->due_us = now_us();
    c->state = STREAMING;
    if (write_all(fd, HEAD, sizeof HEAD - 1)) return forget(fd);
    stream(fd);
}

/* One whole request at the start of the buffer; 0: there is none yet. */
static size_t request_length(struct connection *c, size_t *head) {
    char *end = memmem(c->data, c->length, "\r\n\r\n", 4);
    if (!end) return 0;
    *head = end - c->data + 4;
    *end = 0;
    char *length = strcasestr(c->data, "\ncontent-length:");
    int chunked = strcasestr(c->data, "\ntransfer-encoding:") != NULL;
    *end = '\r';
    if (chunked) {
        char *last = memmem(c->data + *head - 2, c->length - *head + 2, "\r\n0\r\n\r\n", 7);
        return last ? (size_t)(last - c->data) + 7 : 0;
    }
    size_t whole = *head + (length ? strtoul(length + 16, NULL, 10) : 0);
    return c->length >= whole ? whole : 0;
}

static void serve(int fd) {
    struct connection *c = &connections[fd];
    size_t head = 0, whole;
    while (c->state == IDLE && (whole = request_length(c, &head))) {
        char *body = c->data + head;
        size_t length = whole - head;
        int streams = memmem(body, length, "\"stream\":true", 13) != NULL;
        int failed = 0;
        if (streams) begin_stream(fd, body, length);
        else failed = write_body(fd, memcmp(c->data, "GET ", 4) ? ANSWER : MODELS);
        if (failed) forget(fd);
        if (c->state) {
            memmove(c->data, c->data + whole, c->length - whole);
            c->length -= whole;
        }
    }
}

static void receive(int fd) {
    struct connection *c = &connections[fd];
    for (;;) {
        if (c->room - c->length < 65536) c->data = realloc(c->data, c->room = c->room * 2 + 131072);
        ssize_t count = recv(fd, c->data + c->length, c->room - c->length, 0);
        if (count < 0 && errno == EAGAIN) break;
        if (count <= 0) return forget(fd);
        c->length += count;
        if (count < 65536) break;
    }
    serve(fd);
}

static void watch(int fd, int state) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    connections[fd].state = state;
    epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event);
}

static void accept_all(int listening) {
    int fd, one = 1;
    while ((fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (fd < CONNECTIONS) watch(fd, IDLE);
        else close(fd);
    }
}

static void listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (void *)&address, sizeof address) || listen(fd, 1024)) {
        perror("gateway_stub");
        exit(1);
    }
    watch(fd, LISTENING);
}

/* Continue paced streams; milliseconds until the next one is due, -1: none. */
static int continue_streams(void) {
    int wait = -1;
    for (int fd = 0; fd < CONNECTIONS; fd++) {
        struct connection *c = &connections[fd];
        if (c->state == STREAMING) stream(fd);
        if (c->state == IDLE && c->length) serve(fd);
        if (c->state != STREAMING) continue;
        long long left = (c->due_us - now_us() + 999) / 1000;
        int ms = left < 0 ? 0 : (int)left;
        if (wait < 0 || ms < wait) wait = ms;
    }
    return wait;
}

int main(int count, char **ports) {
    struct epoll_event events[256];
    signal(SIGPIPE, SIG_IGN);
    loop = epoll_create1(0);
    for (int i = 1; i < count; i++) listen_on(atoi(ports[i]));
    for (int paced = 0;;) {
        int wait = paced ? continue_streams() : -1;
        int ready = epoll_wait(loop, events, 256, wait);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (connections[fd].state == LISTENING) accept_all(fd);
            else receive(fd);
        }
        paced = 0;
        for (int fd = 0; fd < CONNECTIONS && !paced; fd++) paced = connections[fd].state == STREAMING;
    }
}
