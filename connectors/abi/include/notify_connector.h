/*
 * notify_connector.h: the contract between a notification host and a connector plug-in. ABI major 1, minor 1.
 *
 * A plug-in is a shared library with one exported function, notify_connector_entry_v1. Everything else goes through
 * the tables below. This file is the contract; connectors/abi/src/lib.rs mirrors it and a test compares the two.
 *
 * KINDS, by capability bit
 *   codec      Pure and synchronous. prepare_many turns messages into HTTP requests, interpret_many turns HTTP
 *              responses into outcomes. The host owns the network; a codec opens no socket, reads no file, asks for
 *              no time and never sees a secret: it names secrets, and the host fills them in. Same inputs, same bytes.
 *   transport  Does its own I/O. send_many takes sends and answers each one later through nc_host_v1.complete.
 *   Exactly one of the two bits is set.
 *
 * VERSIONING
 *   The major is in the name of the symbol. Within a major, structs only grow at the end and enumerations only gain
 *   values. `size` is sizeof(the struct) as its writer was compiled. A reader
 *     - refuses a struct whose size is below the 1.0 size (the sizeof in this file),
 *     - treats every field beyond `size` as zero,
 *     - steps through an array by the `size` of its first element, never by its own sizeof. All elements of one array
 *       have the same size.
 *   The host refuses another major, tolerates any minor, and ignores capability bits that it does not know.
 *
 * OWNERSHIP
 *   Each side frees only what it allocated; no pointer to free ever crosses. Every nc_bytes, every array and every
 *   struct passed to a function is borrowed until that function returns, in both directions: copy what must outlive
 *   the call. Results of variable length are handed to a sink that the caller passed in; the sink copies before it
 *   returns. The nc_host_v1 table given to `create` lives until `destroy` has returned. The table that the entry
 *   function returns lives for ever (the host never unloads a library).
 *
 * BYTES
 *   nc_bytes is a pointer and a length; there is no terminating NUL, and NULs may occur inside. When len is 0, ptr may
 *   be NULL. What is called "JSON" or "text" is UTF-8; the receiver checks it and does not trust it.
 *
 * THREADS
 *   The host calls an instance from one thread at a time. A sink is called on the thread of the call that got it, and
 *   only before that call returns. nc_host_v1 functions may be called from any thread, also from inside a call; they
 *   never block for long and never call back into the plug-in.
 *
 * BATCHES
 *   *_many functions take n >= 0 elements (NULL is fine with n = 0). A codec answers each element exactly once, in any
 *   order and in as many sink calls as it likes, naming the element's token. An element left out is reported as a
 *   plug-in fault for that element; an unknown or repeated token is counted and ignored. One bad element must not
 *   spoil its neighbours: answer it with a code.
 *
 * RETURN VALUES
 *   0 is success. Any other value means that the whole call failed and had no effect: what it may have put into sinks
 *   is ignored. (send_many: nothing was accepted and no completion follows.)
 *
 * FAILURE
 *   No exception, panic or longjmp may cross this border. A plug-in that hangs, crashes or breaks these rules costs
 *   its own process: the host kills it, fails what was in flight and starts it again.
 *
 * LIFE
 *   describe, then create, then any number of calls, then drain, then destroy. validate needs no instance. destroy
 *   joins the plug-in's own threads; no completion comes after it. One process has one instance.
 *
 * CHECKS (since 1.1)
 *   A send with NC_SEND_CHECK asks whether the channel would work, without telling anyone: credentials are good, the
 *   target exists. Its message is a placeholder and must not be sent. A codec prepares a harmless request (and gets the
 *   answer with NC_RESPONSE_CHECK); a transport connects, authenticates and leaves. Only a plug-in whose manifest says
 *   `"health": {"kind": "check"}` gets one.
 *
 * VALUES OF THE STUDIO (since 1.1)
 *   Names of secrets that begin with `studio-` are values that the studio provides for one send; a channel cannot have
 *   secrets of such names. They are in secret_names_json where there is one; a codec uses them like a secret, a transport
 *   finds them in secrets_json. `studio-alert-url`: a link to the whole alert, at most 512 bytes, safe in JSON and
 *   in HTML attributes as it is. `studio-unsubscribe` (transports): {"prefix", "key"}, see docs/connectors.md;
 *   `studio-opted-out` (transports): JSON array of addresses that want nothing of this channel.
 *
 * SIZES, beyond which the host refuses
 *   message 512 KiB; channel config 64 KiB; prepared request 1 MiB (or the manifest's limits.maxRequestBytes, if
 *   smaller); detail 1 KiB (longer is cut); provider reference 1 KiB; describe 256 KiB; log text 4 KiB (longer is cut).
 */
#ifndef NOTIFY_CONNECTOR_H
#define NOTIFY_CONNECTOR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NC_ABI_MAJOR 1
#define NC_ABI_MINOR 1

/* Capability bits. */
#define NC_CAP_CODEC (UINT64_C(1) << 0)
#define NC_CAP_TRANSPORT (UINT64_C(1) << 1)

/* Codes of outcomes, and of prepared requests (there only NC_OK, NC_RETRY, NC_PERMANENT and NC_BAD_CONFIG). */
#define NC_OK 0         /* outcome: delivered; prepared: request_json is valid; health and drain: fine */
#define NC_ACCEPTED 1   /* handed over, not confirmed */
#define NC_RETRY 2      /* may work later */
#define NC_THROTTLED 3  /* the target asked for less; retry_after_ms says when, if it said */
#define NC_PERMANENT 4  /* this message will never get through */
#define NC_BAD_CONFIG 5 /* the channel's configuration is wrong: no message will get through */
#define NC_GONE 6       /* the target is gone for good: the host disables the channel */
#define NC_CANCELLED 7  /* cancelled in time, nothing was sent */
/* Time-outs, crashes and answers that break the contract are the host's own findings: a plug-in has no code for them. */

/* retry_after_ms: the target did not say. */
#define NC_NOT_SAID UINT64_MAX

/* nc_send.phase: what the message means for its incident. */
#define NC_PHASE_NONE 0    /* belongs to no incident */
#define NC_PHASE_OPEN 1    /* a new incident */
#define NC_PHASE_UPDATE 2  /* more of a known one, also a rise in severity */
#define NC_PHASE_RESOLVE 3 /* the incident is over */

/* nc_send.flags */
#define NC_SEND_CHECK (1u << 0) /* 1.1: only a check, see above */

/* nc_response.flags */
#define NC_RESPONSE_TRUNCATED (1u << 0) /* the body was longer than the operator's limit and was cut */
#define NC_RESPONSE_CHECK (1u << 1)     /* 1.1: the answer to a check */

/* Log levels. */
#define NC_LOG_ERROR 1
#define NC_LOG_WARN 2
#define NC_LOG_INFO 3
#define NC_LOG_DEBUG 4

typedef struct nc_bytes {
  const uint8_t *ptr;
  size_t len;
} nc_bytes;

/* Receives bytes; several calls append. */
typedef void (*nc_sink)(void *ctx, nc_bytes chunk);

/* One message to send through one channel. */
typedef struct nc_send {
  uint32_t size;
  uint32_t attempt;            /* 1 for the first */
  uint64_t token;              /* opaque; names this element in the answer */
  uint64_t delivery_unix_ms;   /* when the delivery was decided: the same on every attempt */
  uint64_t attempt_unix_ms;    /* when this attempt was begun */
  uint64_t deadline_unix_ms;   /* when the host gives up on this attempt */
  uint32_t phase;              /* NC_PHASE_* */
  uint32_t flags;              /* NC_SEND_*; unknown bits are ignored */
  nc_bytes channel_type;       /* one of the manifest's channelTypes */
  nc_bytes config_json;        /* the channel's configuration, an object that fits the manifest's configSchema */
  nc_bytes message_json;       /* the message, resources/schemas/message.schema.json */
  nc_bytes delivery_id;        /* the same on every attempt: what receivers deduplicate on */
  nc_bytes provider_reference; /* last provider_reference of this incident on this channel; empty if none */
  nc_bytes secret_names_json;  /* array: names of the secrets that the channel has configured */
  nc_bytes secrets_json;       /* transports: object, name to array of values, newest first. Codecs: always empty */
} nc_send;

/* What a codec prepared. */
typedef struct nc_prepared {
  uint32_t size;
  int32_t code; /* NC_OK, or why there is no request */
  uint64_t token;
  nc_bytes request_json; /* NC_OK: resources/schemas/prepared-request.schema.json; else empty */
  nc_bytes detail;       /* for people, short, when the code is not NC_OK */
} nc_prepared;

typedef void (*nc_prepared_sink)(void *ctx, const nc_prepared *items, size_t n);

/* The HTTP answer to a prepared request. */
typedef struct nc_response {
  uint32_t size;
  uint16_t status;
  uint16_t flags; /* NC_RESPONSE_* */
  uint64_t token;
  uint64_t attempt_unix_ms; /* what an HTTP date in Retry-After is relative to */
  nc_bytes channel_type;
  nc_bytes config_json;
  nc_bytes headers_json; /* array of [lower-case name, value] */
  nc_bytes body;         /* raw, perhaps not UTF-8 */
} nc_response;

/* What became of one attempt. */
typedef struct nc_outcome {
  uint32_t size;
  int32_t code; /* NC_OK … NC_CANCELLED */
  uint64_t token;
  uint64_t retry_after_ms;     /* with NC_RETRY and NC_THROTTLED; else NC_NOT_SAID */
  nc_bytes detail;             /* for people, short, without secrets */
  nc_bytes provider_reference; /* the target's own id for what was sent; empty if none */
} nc_outcome;

typedef void (*nc_outcome_sink)(void *ctx, const nc_outcome *items, size_t n);

/* What the host offers. */
typedef struct nc_host_v1 {
  uint32_t size;
  uint16_t abi_major;
  uint16_t abi_minor;
  void *ctx;
  /* Answers of a transport, of health and of drain. Exactly one per accepted token; may come before the call that
   * took the token has returned. */
  void (*complete)(void *ctx, const nc_outcome *items, size_t n);
  /* Structured log; fields_json is an object or empty. The host bounds rate and length. Never log a secret. */
  void (*log)(void *ctx, uint32_t level, nc_bytes text, nc_bytes fields_json);
  /* The host's clock; transports use it instead of their own, so that tests can steer it. Codecs have no use for it. */
  uint64_t (*now_unix_ms)(void *ctx);
} nc_host_v1;

typedef struct nc_instance nc_instance;

/* What the plug-in offers. Functions marked codec or transport may be NULL in the other kind; the rest is required. */
typedef struct nc_connector_v1 {
  uint32_t size;
  uint16_t abi_major;
  uint16_t abi_minor;
  uint64_t capabilities; /* NC_CAP_* */

  /* The plug-in's manifest source, JSON: at least name, version, kind and channelTypes, equal to those of the signed
   * notify-plugin.json. */
  int32_t (*describe)(nc_sink out, void *ctx);

  /* What the configSchema cannot say. 0: fine. 1: `out` holds a JSON array of {"path": JSON Pointer, "reason", "fix"}.
   * Other values: the call itself failed. */
  int32_t (*validate)(nc_bytes channel_type, nc_bytes config_json, nc_sink out, void *ctx);

  /* options_json: operator's settings for this plug-in, an object or empty. On failure `error` gets text. */
  int32_t (*create)(const nc_host_v1 *host, nc_bytes options_json, nc_instance **out, nc_sink error, void *ctx);

  /* codec */
  int32_t (*prepare_many)(nc_instance *, const nc_send *items, size_t n, nc_prepared_sink out, void *ctx);
  /* codec */
  int32_t (*interpret_many)(nc_instance *, const nc_response *items, size_t n, nc_outcome_sink out, void *ctx);

  /* transport. Never blocks. Takes the first *accepted elements (0 … n); a short count is back-pressure, not an error:
   * the host offers the rest again after the next completion. */
  int32_t (*send_many)(nc_instance *, const nc_send *items, size_t n, size_t *accepted);
  /* transport. A hint: the token is still answered exactly once, NC_CANCELLED or what really happened. */
  int32_t (*cancel)(nc_instance *, uint64_t token);

  /* Answers through complete(): NC_OK, or another code and a detail. */
  int32_t (*health)(nc_instance *, uint64_t token);
  /* Finish what was accepted, by the deadline; answers through complete(). Nothing is sent to the instance after. */
  int32_t (*drain)(nc_instance *, uint64_t deadline_unix_ms, uint64_t token);
  void (*destroy)(nc_instance *);
} nc_connector_v1;

/* The one exported symbol. NULL: the plug-in cannot run here. */
const nc_connector_v1 *notify_connector_entry_v1(void);

typedef const nc_connector_v1 *(*nc_entry_v1)(void);

#ifdef __cplusplus
}
#endif
#endif /* NOTIFY_CONNECTOR_H */
