/* A plug-in that misbehaves on request: the channel's config says how, per element. In plain C, which also shows that
 * the header needs nothing else. -DMARKER="path": a constructor leaves that file, to prove whether code ran. */
#define _GNU_SOURCE
#include "notify_connector.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef MARKER
/* In a sandbox it cannot leave the file; what it says is in the log. */
__attribute__((constructor)) static void mark(void) {
  dprintf(2, "constructor ran: %s\n", MARKER);
  close(open(MARKER, O_CREAT | O_WRONLY, 0600));
}
#endif
#ifndef VERSION
#define VERSION "1.0.0"
#endif

#ifndef URL
#define URL "http://127.0.0.1:9/" VERSION
#endif

static const char request[] =
    "{\"method\":\"POST\",\"url\":[{\"text\":\"" URL "\"}],\"headers\":[],\"body\":[]}";
static const nc_host_v1 *host;
static uint64_t last_token;

static nc_bytes text(const char *s) { return (nc_bytes){(const uint8_t *)s, strlen(s)}; }
static int says(nc_bytes where, const char *what) {
  return where.len != 0 && memmem(where.ptr, where.len, what, strlen(what)) != NULL;
}

/* What a process that does not compute might try. Each is named after the system call that the sandbox should name. */
static void *idle(void *nothing) { return nothing; }
static void escape(nc_bytes config) {
  if (says(config, "try-socket")) socket(AF_INET, SOCK_STREAM, 0);
  if (says(config, "try-unix")) socket(AF_UNIX, SOCK_STREAM, 0);
  if (says(config, "try-pair")) { int pair[2]; socketpair(AF_UNIX, SOCK_STREAM, 0, pair); }
  if (says(config, "try-read")) open("/etc/passwd", O_RDONLY);
  if (says(config, "try-old-open")) syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY);
  if (says(config, "try-create")) open("/tmp/notify-bad", O_CREAT | O_WRONLY, 0600);
  if (says(config, "try-stat")) { struct stat found; stat("/etc/passwd", &found); }
  if (says(config, "try-unlink")) unlink("/tmp/notify-bad");
  if (says(config, "try-memfd")) memfd_create("x", 0);
  if (says(config, "try-program")) execl("/bin/true", "true", (char *)NULL);
  if (says(config, "try-fork")) { if (fork() == 0) _exit(0); }
  if (says(config, "try-parent")) kill(getppid(), 0);
  if (says(config, "try-trace")) ptrace(PTRACE_TRACEME, 0, 0, 0);
  if (says(config, "try-outlive")) prctl(PR_SET_PDEATHSIG, 0);
  if (says(config, "try-handler")) signal(SIGSYS, SIG_IGN);
  if (says(config, "try-uring")) syscall(425, 8, NULL);
  if (says(config, "try-code")) mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (says(config, "try-limit-parent")) { struct rlimit none = {0, 0}; prlimit(getppid(), RLIMIT_CPU, &none, NULL); }
  if (says(config, "try-pin-parent")) { unsigned long one = 1; syscall(SYS_sched_setaffinity, getppid(), sizeof one, &one); }
  if (says(config, "try-owner")) fcntl(3, F_SETOWN, getppid());
  if (says(config, "try-queue")) { char info[128] = {0}; syscall(SYS_rt_sigqueueinfo, getppid(), SIGKILL, info); }
  if (says(config, "try-nice")) syscall(SYS_setpriority, 0, getppid(), 19);
  if (says(config, "try-user")) syscall(SYS_setuid, 0);
  if (says(config, "may-thread")) { pthread_t other; if (pthread_create(&other, NULL, idle, NULL) == 0) pthread_join(other, NULL); else abort(); }
  if (says(config, "may-memory")) { void *some = malloc(8 << 20); if (!some) abort(); memset(some, 1, 8 << 20); free(some); }
  if (says(config, "much-memory")) { for (int i = 0; i < 64; i++) { void *more = malloc(64 << 20); if (!more) abort(); memset(more, 1, 64 << 20); } }
}

static void misbehave(nc_bytes config) {
  if (says(config, "try-") || says(config, "may-") || says(config, "much-")) escape(config);
  if (says(config, "segv")) *(volatile int *)16 = 1; /* not raise(): the fault must repeat after a handler */
  if (says(config, "abort")) abort();
  if (says(config, "exit")) _exit(0);
  if (says(config, "hang")) for (;;) pause();
  if (says(config, "spin")) for (volatile int i = 0;; i++) { }
  if (says(config, "overflow")) { volatile char big[1 << 20]; big[0] = 1; misbehave(config); big[1] = big[0]; }
  if (says(config, "close-socket")) for (int fd = 3; fd < 64; fd++) close(fd);
  if (says(config, "write-socket"))
    for (int fd = 3; fd < 64; fd++) { ssize_t n = write(fd, "\377\377\377\377garbage", 11); (void)n; }
  if (says(config, "print")) { ssize_t n = write(1, "out", 3); n = write(2, "from the plug-in\n", 17); (void)n; }
}

static int32_t describe(nc_sink out, void *ctx) {
#ifdef DESCRIBE
  out(ctx, text(DESCRIBE));
#else
  out(ctx, text("{\"name\":\"bad\",\"version\":\"" VERSION "\",\"kind\":\"codec\",\"channelTypes\":[\"bad\"]}"));
#endif
  return 0;
}
static int32_t validate(nc_bytes type, nc_bytes config, nc_sink out, void *ctx) {
  (void)type; (void)config; (void)out; (void)ctx;
  return 0;
}
static int32_t create(const nc_host_v1 *h, nc_bytes options, nc_instance **out, nc_sink error, void *ctx) {
  static int instance;
  host = h;
  misbehave(options);
  if (says(options, "slow")) usleep(300000);
  if (says(options, "fail")) { error(ctx, text("no licence")); return 1; }
  if (says(options, "nothing")) return 0;
  *out = (nc_instance *)&instance;
  return 0;
}

static void answer(const nc_send *item, uint64_t token, nc_prepared_sink out, void *ctx) {
  nc_prepared made = {.size = sizeof made, .code = NC_OK, .token = token, .request_json = text(request)};
  if (says(item->config_json, "small-size")) made.size = 8;
  if (says(item->config_json, "null-bytes")) made.request_json = (nc_bytes){NULL, 5};
  if (says(item->config_json, "bad-code")) made.code = 99;
  if (says(item->config_json, "not-json")) made.request_json = text("garbage");
  if (says(item->config_json, "other-shape")) made.request_json = text("{\"method\":1}");
  if (says(item->config_json, "not-utf8")) made.request_json = text("\"\377\376\"");
  if (says(item->config_json, "huge")) made.request_json = (nc_bytes){calloc(1, 2 << 20), 2 << 20};
  /* Not when a channel is saved: then it could not be. */
  int saving = says(item->message_json, "Is this channel complete?");
  if (says(item->config_json, "decline") && !saving) { made.code = NC_BAD_CONFIG; made.detail = text("no such room"); }
  if (says(item->config_json, "null-array")) { out(ctx, NULL, 1); return; }
  out(ctx, &made, 1);
}

static int32_t prepare_many(nc_instance *i, const nc_send *items, size_t n, nc_prepared_sink out, void *ctx) {
  (void)i;
  for (size_t k = 0; k < n; k++) {
    const nc_send *item = (const nc_send *)((const char *)items + k * items->size);
    misbehave(item->config_json);
    if (says(item->config_json, "call-fails")) return 7;
    if (says(item->config_json, "left-out")) continue;
    if (says(item->config_json, "stale")) answer(item, last_token, out, ctx);
    if (says(item->config_json, "stranger")) answer(item, 12345678, out, ctx);
    if (says(item->config_json, "flood")) for (int m = 0; m < 100000; m++) answer(item, 999, out, ctx);
    answer(item, item->token, out, ctx);
    if (says(item->config_json, "twice")) answer(item, item->token, out, ctx);
    last_token = item->token;
  }
  return 0;
}

static int32_t interpret_many(nc_instance *i, const nc_response *items, size_t n, nc_outcome_sink out, void *ctx) {
  (void)i;
  for (size_t k = 0; k < n; k++) {
    const nc_response *item = (const nc_response *)((const char *)items + k * items->size);
    nc_outcome made = {.size = sizeof made, .code = NC_OK, .token = item->token, .retry_after_ms = NC_NOT_SAID};
    misbehave(item->config_json);
    if (says(item->config_json, "left-out")) continue;
    if (says(item->config_json, "bad-code")) made.code = 4711;
    if (says(item->config_json, "null-bytes")) made.detail = (nc_bytes){NULL, 9};
    if (says(item->config_json, "long-detail")) {
      char *big = malloc(1 << 20);
      memset(big, 'x', 1 << 20);
      made.detail = (nc_bytes){(const uint8_t *)big, 1 << 20};
    }
    out(ctx, &made, 1);
  }
  return 0;
}
static int32_t health(nc_instance *i, uint64_t token) {
  (void)i;
  nc_outcome made = {.size = sizeof made, .code = NC_OK, .token = token, .retry_after_ms = NC_NOT_SAID};
  host->log(host->ctx, NC_LOG_INFO, text("healthy"), (nc_bytes){0});
  host->complete(host->ctx, &made, 1);
  return 0;
}
static int32_t drain(nc_instance *i, uint64_t deadline, uint64_t token) { (void)deadline; return health(i, token); }
static void destroy(nc_instance *i) { (void)i; }

#ifndef MAJOR
#define MAJOR NC_ABI_MAJOR
#endif
#ifndef CAPABILITIES
#define CAPABILITIES NC_CAP_CODEC
#endif
#ifndef SIZE
#define SIZE sizeof(nc_connector_v1)
#endif
static const nc_connector_v1 table = {
    .size = SIZE,
    .abi_major = MAJOR,
    .abi_minor = 99, /* a later minor is fine */
    .capabilities = CAPABILITIES | (UINT64_C(1) << 63), /* an unknown bit as well */
    .describe = describe,
    .validate = validate,
    .create = create,
    .prepare_many = prepare_many,
#ifndef INCOMPLETE
    .interpret_many = interpret_many,
#endif
    .health = health,
    .drain = drain,
    .destroy = destroy,
};

#ifndef NO_SYMBOL
const nc_connector_v1 *notify_connector_entry_v1(void) {
#ifdef NULL_TABLE
  return NULL;
#else
  return &table;
#endif
}
#else
const nc_connector_v1 *unused(void) { return &table; }
#endif
