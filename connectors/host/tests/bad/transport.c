/* A transport on its own thread, which misbehaves on request of the message's config. Takes at most 3 at a time. */
#define _GNU_SOURCE
#include "notify_connector.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROOM = 3 };
static struct order { uint64_t token; int twice, crash, mute, secret; } queue[ROOM];
static int waiting, drained;
static uint64_t drain_token;
static uint64_t muted;
static const nc_host_v1 *host;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static nc_bytes text(const char *s) { return (nc_bytes){(const uint8_t *)s, strlen(s)}; }
static int says(nc_bytes where, const char *what) {
  return where.len != 0 && memmem(where.ptr, where.len, what, strlen(what)) != NULL;
}
static void done(uint64_t token, int32_t code, const char *reference) {
  nc_outcome made = {.size = sizeof made, .code = code, .token = token, .retry_after_ms = NC_NOT_SAID};
  made.provider_reference = text(reference);
  host->complete(host->ctx, &made, 1);
}
static void *work(void *unused) {
  (void)unused;
  for (;;) {
    pthread_mutex_lock(&lock);
    while (waiting == 0 && !drain_token) pthread_cond_wait(&changed, &lock);
    if (waiting == 0) {
      done(drain_token, NC_OK, "");
      drained = 1;
      pthread_mutex_unlock(&lock);
      return NULL;
    }
    struct order order = queue[--waiting];
    pthread_mutex_unlock(&lock);
    if (order.crash) *(volatile int *)16 = 1;
    if (order.mute) { muted = order.token; continue; }
    done(order.token, NC_ACCEPTED, order.secret ? "had-secret" : "queued-1");
    if (order.twice) done(order.token, NC_ACCEPTED, "again");
  }
}
static int32_t describe(nc_sink out, void *ctx) {
  out(ctx, text("{\"name\":\"slow\",\"version\":\"1.0.0\",\"kind\":\"transport\",\"channelTypes\":[\"slow\"]}"));
  return 0;
}
static int32_t validate(nc_bytes type, nc_bytes config, nc_sink out, void *ctx) {
  (void)type; (void)config; (void)out; (void)ctx;
  return 0;
}
static int32_t create(const nc_host_v1 *h, nc_bytes options, nc_instance **out, nc_sink error, void *ctx) {
  static int instance;
  pthread_t thread;
  (void)options; (void)error; (void)ctx;
  host = h;
  pthread_create(&thread, NULL, work, NULL);
  pthread_detach(thread);
  *out = (nc_instance *)&instance;
  return 0;
}
/* What the sandbox stops, refuses or allows. */
static const char *explored(nc_bytes config) {
  if (says(config, "try-program")) execl("/bin/true", "true", (char *)NULL);
  if (says(config, "try-raw")) socket(AF_INET, SOCK_RAW, 1);
  if (says(config, "try-alg")) socket(38, SOCK_SEQPACKET, 0);
  if (says(config, "try-limit-parent")) { struct rlimit none = {0, 0}; prlimit(getppid(), RLIMIT_CPU, &none, NULL); }
  if (says(config, "try-listen")) listen(socket(AF_INET, SOCK_STREAM, 0), 1);
  if (says(config, "read-passwd")) return open("/etc/passwd", O_RDONLY) >= 0 ? "done" : "refused";
  if (says(config, "read-hosts")) return open("/etc/hosts", O_RDONLY) >= 0 ? "done" : "refused";
  if (says(config, "create")) return open("/tmp/notify-bad", O_CREAT | O_WRONLY, 0600) >= 0 ? "done" : "refused";
  if (says(config, "bind")) {
    struct sockaddr_in any = {.sin_family = AF_INET};
    return bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&any, sizeof any) == 0 ? "done" : "refused";
  }
  if (says(config, "dial")) return socket(AF_INET6, SOCK_STREAM, 0) >= 0 && socket(AF_INET, SOCK_DGRAM, 0) >= 0 ? "done" : "refused";
  return NULL;
}
static int32_t send_many(nc_instance *i, const nc_send *items, size_t n, size_t *accepted) {
  (void)i;
  size_t k = 0;
  pthread_mutex_lock(&lock);
  for (; k < n && waiting < ROOM; k++) {
    const nc_send *item = (const nc_send *)((const char *)items + k * items->size);
    const char *found = explored(item->config_json);
    if (found) { done(item->token, NC_ACCEPTED, found); continue; }
    queue[waiting++] = (struct order){item->token, says(item->config_json, "twice"), says(item->config_json, "crash"),
                                      says(item->config_json, "mute"), says(item->secrets_json, "hunter2")};
  }
  pthread_cond_signal(&changed);
  pthread_mutex_unlock(&lock);
  *accepted = k;
  return 0;
}
static int32_t cancel(nc_instance *i, uint64_t token) {
  (void)i;
  if (token == muted) done(token, NC_CANCELLED, ""); /* late by now: the host gave up before it cancelled */
  return 0;
}
static int32_t health(nc_instance *i, uint64_t token) { (void)i; done(token, NC_OK, ""); return 0; }
static int32_t drain(nc_instance *i, uint64_t deadline, uint64_t token) {
  (void)i; (void)deadline;
  pthread_mutex_lock(&lock);
  drain_token = token;
  pthread_cond_signal(&changed);
  pthread_mutex_unlock(&lock);
  return 0;
}
static void destroy(nc_instance *i) { (void)i; }

static const nc_connector_v1 table = {
    .size = sizeof table, .abi_major = NC_ABI_MAJOR, .abi_minor = NC_ABI_MINOR, .capabilities = NC_CAP_TRANSPORT,
    .describe = describe, .validate = validate, .create = create, .send_many = send_many, .cancel = cancel,
    .health = health, .drain = drain, .destroy = destroy,
};
const nc_connector_v1 *notify_connector_entry_v1(void) { return &table; }
