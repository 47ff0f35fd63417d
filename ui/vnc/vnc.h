/* SPDX-License-Identifier: MIT */
/*
 * The VNC server: RFB 3.8 (RFC 6143) and what the community's rfbproto document adds. A server shows one display at a time to
 * any number of clients.
 *
 * Threads: all state belongs to the main loop, but for what the display tells, which is guarded by the machine lock. Pixels are
 * encoded by worker threads, from copies: a guest never waits for a client.
 */
#ifndef UI_VNC_VNC_H
#define UI_VNC_VNC_H

#include <jansson.h>
#include <pixman.h>

#include "backends/socket-address.h"
#include "base/key-values.h"
#include "base/log.h"
#include "machine/clipboard.h"
#include "ui/net/stream.h"
#include "ui/net/websocket.h"
#include "ui/seat.h"
#include "ui/vnc/encode.h"
#include "ui/vnc/keyboard.h"

enum {
    VNC_PORT_BASE = 5900,
    VNC_WEBSOCKET_BASE = 5700,
    VNC_PACE_MS = 33,
    VNC_CLIENTS_MAX = 64,         /* that have not said who they are; later ones push out the oldest */
    VNC_HANDSHAKE_SECONDS = 120,  /* people type passwords */
    VNC_CUT_TEXT_MAX = 1 << 20,
    VNC_WAITING_MAX = 4 << 20,    /* bytes that a client may let wait before we stop to read from it */
    VNC_PASSWORD_MAX = 8,
};

typedef enum {
    VNC_SECURITY_NONE = 1,
    VNC_SECURITY_PASSWORD = 2,
    VNC_SECURITY_VENCRYPT = 19,
    VNC_SECURITY_SASL = 20,
} VncSecurity;
/* What begins a connection: RFB at once, a websocket's request, or those of a browser that wants pages first. */
typedef enum { VNC_PLAIN, VNC_WEBSOCKET, VNC_WEB } VncTransport;
typedef enum { VNC_SHARE_ALLOW_EXCLUSIVE, VNC_SHARE_FORCE_SHARED, VNC_SHARE_IGNORE } VncShare;

/* What a client can do beyond the protocol's core. */
typedef enum {
    VNC_CAN_COPY = 1 << 0,
    VNC_CAN_RESIZE = 1 << 1,
    VNC_CAN_RESIZE_EXTENDED = 1 << 2,
    VNC_CAN_CURSOR = 1 << 3,
    VNC_CAN_CURSOR_ALPHA = 1 << 4,
    VNC_CAN_KEYS = 1 << 5,
    VNC_CAN_LEDS = 1 << 6,
    VNC_CAN_MOTION_CHANGE = 1 << 7,
    VNC_CAN_CONTINUE = 1 << 8,
    VNC_CAN_FENCE = 1 << 9,
    VNC_CAN_NAME = 1 << 10,
    VNC_CAN_CLIPBOARD = 1 << 11,
    VNC_CAN_POWER = 1 << 12,
} VncFeatures;

/* What is now in `to` was dy rows above it. */
typedef struct {
    pixman_box32_t to;
    int dy;
} VncCopy;

/* Rows of pixels, `stride` pixels from one to the next. */
typedef struct {
    const uint32_t *pixels;
    size_t stride;
} VncRows;

/* Of each block of VNC_SUM_PIXELS of each row. */
typedef struct {
    int width;       /* of a row, in pixels */
    unsigned blocks; /* of a row */
    uint64_t *seen;  /* of what clients see */
    uint64_t *now;   /* of the display, in rows that are being looked at */
} VncSums;
enum { VNC_SUM_PIXELS = 64 };

typedef struct VncServer VncServer;
typedef struct VncClient VncClient;
typedef struct VncSasl VncSasl;

/* Bytes of a message: how many it used, 0 when it needs more. It may end the client, which then is `closed`. */
typedef size_t VncParser(VncClient *client, const uint8_t *data, size_t size);

struct VncClient {
    VncServer *server;
    Stream *stream; /* NULL: it is closed */
    unsigned references; /* the server's list, and jobs under way */
    VncParser *parser;
    guint timer;      /* of the handshake */
    guint kick;       /* a look at whether an update can be sent */
    bool connected;   /* VNC_CONNECTED was told */
    VncTransport transport;
    bool exclusive, authenticated;
    bool ready;       /* it has initialised */
    unsigned minor;   /* 3.minor */
    VncSecurity security;
    unsigned vencrypt; /* subtype, 0: none was chosen */
    uint8_t challenge[16];
    VncSasl *sasl;    /* NULL: there was no such conversation */
    char *host, *service, *local_host, *local_service;
    const char *family;

    VncEncoder encoder;
    bool encoding;    /* a worker has the encoder */
    double pixel_us;  /* that encoding one took in the last large update */
    GArray *encodings; /* int32_t: as the client wants them; taken over between updates */
    VncFormat format;
    unsigned features;
    int level, quality;
    VncEncoding preferred;
    int width, height; /* of the screen as it knows it */

    pixman_region32_t damage, requested;
    GArray *copies; /* VncCopy: what it moves itself before it gets what is damaged */
    bool continuous;
    pixman_box32_t continuous_area;
    bool send_size, send_cursor, send_leds, send_motion, send_name, send_keys;
    unsigned size_reason, size_status;
    bool absolute;    /* how it was told that its pointer works */
    int pointer_x, pointer_y;
    unsigned buttons; /* that it holds down, as bits of InputButtons */
    unsigned cut_text_left;
    uint32_t clipboard_caps; /* what its clipboard takes */
    GHashTable *keysyms;     /* keysym -> code + 1: keys that are down */
    bool trusted;            /* by whoever brought it: no password */
};

typedef struct {
    char *text; /* "127.0.0.1:5900": for people */
    char *host, *service;
    const char *family;
    int fd;
    guint watch;
    VncTransport transport;
    VncServer *server;
} VncListener;

struct VncServer {
    Machine *machine;
    char *id;
    GPtrArray *listeners; /* VncListener * */
    GPtrArray *clients;   /* VncClient * */
    Seat seat;
    VncKeyboard *keyboard;
    GThreadPool *workers;
    GAsyncQueue *done;    /* jobs of update.c that workers have encoded */

    /* Options. */
    VncShare share;
    unsigned connections;
    bool lossy, power_control, fixed_display, password_wanted;
    bool lock_key_sync; /* keysyms of letters mind the guest's caps lock */
    char *password;   /* NULL: nobody gets in yet */
    gint64 expires_s; /* of the password, by the host's clock; G_MAXINT64: never */
    bool sasl;
    char *sasl_authz; /* id of who may come in; NULL: whom SASL knows */
    char *credentials_id, *tls_authz;
    TlsCredentials *credentials;
    GPtrArray *old_credentials; /* that sessions may still use */
    unsigned head;
    ClipboardPeer clipboard;
    /* Of -display web: what its URL lets in once, and the cookie of who came by it. */
    char *token, *session;

    /* The display. Guarded by the machine lock. */
    DisplayListener listener;
    Display *display; /* that is looked at, by server->listener if `watching` */
    bool watching;
    pixman_region32_t changed;
    bool surface_changed, cursor_changed, cursor_shown;
    bool cursor_known; /* the device has one: clients need not draw theirs */

    /* What clients see: x8r8g8b8. */
    pixman_image_t *screen;
    VncSums sums;
    pixman_image_t *strip; /* rows in conversion */
    unsigned scroll_misses, scroll_pause; /* looks for scrolling that were in vain; looks to leave out */
    unsigned leds;
    bool absolute;
};

/* server.c */
bool vnc_server_start(Machine *machine, const char *options, const char *layout, char **text,
                      GError **error);
void vnc_server_select(VncServer *server, Display *display);
/* Whether somebody looks has changed, or how often. */
void vnc_server_update_watch(VncServer *server);
GPtrArray *vnc_servers(Machine *machine); /* VncServer * */
VncServer *vnc_server_find(Machine *machine, const char *id, GError **error);
void vnc_server_set_password(VncServer *server, const char *password);
bool vnc_server_password_is_valid(const VncServer *server);
bool vnc_server_reload_credentials(VncServer *server, GError **error);
/* What a client must show, in TLS or not. */
VncSecurity vnc_server_security(const VncServer *server);
bool vnc_server_uses_vencrypt(const VncServer *server);
/* vencrypt: of connections where TLS comes by it (not of websockets). */
const char *vnc_server_auth_name(const VncServer *server, bool vencrypt);
const char *vnc_server_vencrypt_name(const VncServer *server);

VncServer *vnc_server_new(Machine *machine, const char *id, const char *layout, GError **error);
void vnc_server_free(void *server);

/* web.c: answers a browser; true when it was a websocket's request, which may come in. */
bool vnc_web_answer(VncClient *client, const HttpRequest *request, char **answer);

/* listen.c */
/* address: where; transport: what is spoken there. */
bool vnc_listen_on(VncServer *server, const SocketAddress *address, VncTransport transport,
                   GError **error);
bool vnc_listen(VncServer *server, const char *address, const KeyValues *options, GError **error);
/* Closes what it listens on; clients stay. */
void vnc_listen_nowhere(VncServer *server);
void vnc_listener_free(void *listener);
void vnc_client_name(VncClient *client, int fd);
json_t *vnc_address_json(const char *host, const char *service, const char *family, bool websocket);

/* screen.c: the copy that clients see. Under the machine lock. */
extern const DisplayListener vnc_display_listener;
void vnc_screen_take(VncServer *server);

/* sums.c */
uint64_t vnc_sum(const uint32_t *pixels, unsigned count);
/* For a screen of another size. */
void vnc_sums_init(VncSums *sums, const VncRows *screen, int width, int height);
void vnc_sums_free(VncSums *sums);
/* Before a look: nothing in these rows differs. */
void vnc_sums_begin(VncSums *sums, int y1, int y2);
/* Of the display (look) and of what clients see (took), in all blocks that the box touches; rows begin at its first one. */
void vnc_sums_look(VncSums *sums, const VncRows *rows, const pixman_box32_t *box);
void vnc_sums_took(VncSums *sums, const VncRows *rows, const pixman_box32_t *box);
bool vnc_sums_differ(const VncSums *sums, unsigned block, int y1, int y2);
/* What is around all blocks that differ; false: none does. */
bool vnc_sums_find_differences(const VncSums *sums, int y1, int y2, pixman_box32_t *found);
/* After the copy was done on the screen. */
void vnc_sums_move(VncSums *sums, const VncRows *screen, const VncCopy *copy);

/*
 * scroll.c: whether most of what differs in the box, which is around all that does, is what scrolling up or down leaves: then copy is the part
 * that has only moved (but for some rows, perhaps). Else little differs, or much in another way.
 */
typedef enum { VNC_SCROLL_LITTLE, VNC_SCROLL_OTHER, VNC_SCROLL_FOUND } VncScroll;
VncScroll vnc_scroll_find(const VncSums *sums, const VncRows *before, const VncRows *now,
                          const pixman_box32_t *box, VncCopy *copy);

/* client.c */
/* trusted: no password is asked for. */
void vnc_client_new(VncServer *server, int fd, VncTransport transport, bool trusted);
/* A websocket's request has been accepted by `answer`; it took `used` bytes of the input. */
void vnc_client_upgrade(VncClient *client, const char *answer, size_t used);
/* Ends it; the memory goes with the last reference. why: NULL when it was the client's wish. */
void vnc_client_close(VncClient *client, const char *why);
void vnc_client_unref(VncClient *client);
void vnc_client_write(VncClient *client, const void *data, size_t size);
/* Waits for the next message of the session. */
void vnc_client_begin(VncClient *client);
json_t *vnc_client_json(const VncClient *client);
void vnc_client_event(VncClient *client, const char *event);
size_t vnc_parse_message(VncClient *client, const uint8_t *data, size_t size);

/* handshake.c */
size_t vnc_parse_version(VncClient *client, const uint8_t *data, size_t size);
void vnc_handshake_secured(VncClient *client);
void vnc_handshake_begin(VncClient *client);
/* The client has shown who it is, or has not. tell: it waits for the result. */
void vnc_handshake_admit(VncClient *client, bool tell);
void vnc_handshake_refuse(VncClient *client);

/* update.c */
/* Sends what there is to send, when the client wants it and has taken what it was sent before. */
void vnc_client_kick(VncClient *client);
void vnc_client_damage(VncClient *client, pixman_region32_t *region);
void vnc_client_damage_all(VncClient *client);
/* The screen has moved there; the client can do the same, or gets the pixels. */
void vnc_client_copy(VncClient *client, const VncCopy *copy);
void vnc_client_set_encodings(VncClient *client, const int32_t *encodings, unsigned count);

/* A worker's function: encodes a job, and hands it back to the main loop. */
void vnc_update_encode(gpointer job, gpointer server);
/* When no worker runs any more. */
void vnc_updates_end(VncServer *server);

/* clipboard.c */
void vnc_clipboard_begin(VncClient *client); /* it knows the extended one */
void vnc_clipboard_extended(VncClient *client, const uint8_t *data, size_t size);
void vnc_clipboard_plain(VncClient *client, const uint8_t *data, size_t size);
void vnc_clipboard_tell(VncClient *client);
void vnc_clipboard_changed(ClipboardPeer *peer);

/* input.c */
void vnc_client_key(VncClient *client, bool down, uint32_t keysym, unsigned code);
void vnc_client_pointer(VncClient *client, unsigned buttons, int x, int y);
/* Lets go of what it holds, unless others hold it, too. */
void vnc_client_release(VncClient *client);

#endif
