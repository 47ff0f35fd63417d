/* SPDX-License-Identifier: MIT */
/* Keys and pointers of clients. Under the machine lock. */
#include "ui/vnc/vnc.h"

enum {
    KEY_1 = 2,
    KEY_9 = 10,
    KEY_LEFT_SHIFT = 42,
    KEY_RIGHT_SHIFT = 54,
    KEY_RIGHT_ALT = 100,
    RELATIVE_MIDDLE = 0x7fff, /* of a pointer that tells movements */
    BY_CODE = 1u << 31,       /* in keysyms: the key was told by its code alone */
};

static unsigned modifiers_down(const Seat *seat)
{
    return (seat_has_shift(seat) ? VNC_SHIFT : 0) |
           (seat_is_held(seat, KEY_RIGHT_ALT) ? VNC_ALTGR : 0);
}

/* The guest's caps lock does to letters what shift does. */
static unsigned modifiers_wanted(const VncServer *server, uint32_t keysym, const VncKey *key)
{
    bool flipped = server->lock_key_sync && server->leds & INPUT_LED_CAPS &&
                   vnc_keysym_is_letter(keysym) && !(key->modifiers & VNC_ALTGR);

    return key->modifiers ^ (flipped ? VNC_SHIFT : 0);
}

static void set_modifier(Seat *seat, unsigned code, bool down)
{
    InputEvent event = { INPUT_KEY, (uint16_t)code, down };

    input_send_from(seat->machine, seat->display, &event);
}

/* Presses or lets go of shift and AltGr for the moment, or puts them back as people hold them. */
static void adjust_modifiers(Seat *seat, unsigned differing, bool back)
{
    if (differing & VNC_SHIFT) {
        bool held = seat_has_shift(seat);

        if (!held) {
            set_modifier(seat, KEY_LEFT_SHIFT, !back);
        }
        if (seat_is_held(seat, KEY_LEFT_SHIFT)) {
            set_modifier(seat, KEY_LEFT_SHIFT, back);
        }
        if (seat_is_held(seat, KEY_RIGHT_SHIFT)) {
            set_modifier(seat, KEY_RIGHT_SHIFT, back);
        }
    }
    if (differing & VNC_ALTGR) {
        set_modifier(seat, KEY_RIGHT_ALT, seat_is_held(seat, KEY_RIGHT_ALT) == back);
    }
}

/* Ctrl-Alt-1 to -9 choose what is shown. */
static bool choose_console(VncClient *client, unsigned code)
{
    VncServer *server = client->server;
    Display *display;

    if (code < KEY_1 || code > KEY_9 || server->fixed_display || !seat_has_control(&server->seat) ||
        !seat_has_alt(&server->seat)) {
        return false;
    }
    display = seat_console(server->machine, code - KEY_1);
    if (display) {
        vnc_server_select(server, display);
    }
    return display != NULL;
}

static void remember(VncClient *client, uint32_t keysym, unsigned code)
{
    g_hash_table_insert(client->keysyms, GUINT_TO_POINTER(keysym), GUINT_TO_POINTER(code + 1));
}

static void press(VncClient *client, uint32_t keysym, unsigned code)
{
    VncServer *server = client->server;
    Seat *seat = &server->seat;
    unsigned differing = 0;
    VncKey key = { (uint16_t)code, 0 };

    if (!code && !vnc_keyboard_find(server->keyboard, keysym, modifiers_down(seat), &key)) {
        if (!seat_takes_text(seat)) {
            return;
        }
    } else if (choose_console(client, key.code)) {
        return;
    }
    if (!code && vnc_keysym_is_sign(keysym) && !seat_has_control(seat) && !seat_has_alt(seat)) {
        differing = modifiers_wanted(server, keysym, &key) ^ modifiers_down(seat);
    }
    if (key.code) {
        remember(client, code ? BY_CODE | code : keysym, key.code);
        if (seat_takes_text(seat)) {
            differing = 0;
        }
        adjust_modifiers(seat, differing, false);
        seat_key(seat, key.code, true);
        adjust_modifiers(seat, differing, true);
    }
    if (seat_takes_text(seat)) {
        uint32_t text = vnc_keysym_text(keysym);

        if (text) {
            seat_type(seat, text);
        }
    }
}

/* By another client than this one. */
static bool is_held_elsewhere(const VncClient *client, gpointer code)
{
    GPtrArray *clients = client->server->clients;

    for (guint i = 0; i < clients->len; i++) {
        const VncClient *other = clients->pdata[i];
        GHashTableIter it;
        gpointer held;

        g_hash_table_iter_init(&it, other->keysyms);
        while (other != client && g_hash_table_iter_next(&it, NULL, &held)) {
            if (held == code) {
                return true;
            }
        }
    }
    return false;
}

/* code: as in keysyms. */
static void let_go(VncClient *client, gpointer code)
{
    if (!is_held_elsewhere(client, code)) {
        seat_key(&client->server->seat, GPOINTER_TO_UINT(code) - 1, false);
    }
}

void vnc_client_key(VncClient *client, bool down, uint32_t keysym, unsigned code)
{
    uint32_t name = code ? BY_CODE | code : keysym;
    gpointer known;

    if (down) {
        press(client, keysym, code);
    } else if ((known = g_hash_table_lookup(client->keysyms, GUINT_TO_POINTER(name)))) {
        g_hash_table_remove(client->keysyms, GUINT_TO_POINTER(name));
        let_go(client, known);
    }
    seat_sync(&client->server->seat);
}

/* RFB's bits, in the order of InputButton. */
static unsigned translate_buttons(unsigned mask)
{
    static const InputButton buttons[] = { INPUT_LEFT,        INPUT_MIDDLE,     INPUT_RIGHT,
                                           INPUT_WHEEL_UP,    INPUT_WHEEL_DOWN, INPUT_WHEEL_LEFT,
                                           INPUT_WHEEL_RIGHT, INPUT_SIDE };
    unsigned result = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(buttons); i++) {
        result |= (mask >> i & 1) << buttons[i];
    }
    return result;
}

/* A button is down while any client holds it. */
static unsigned buttons_down(const VncServer *server)
{
    unsigned buttons = 0;

    for (guint i = 0; i < server->clients->len; i++) {
        buttons |= ((const VncClient *)server->clients->pdata[i])->buttons;
    }
    return buttons;
}

void vnc_client_pointer(VncClient *client, unsigned buttons, int x, int y)
{
    Seat *seat = &client->server->seat;

    if (!client->absolute && client->features & VNC_CAN_MOTION_CHANGE) {
        seat_move_by(seat, x - RELATIVE_MIDDLE, y - RELATIVE_MIDDLE);
    } else {
        /* A movement is since this client's last, not since another's. */
        seat->x = client->pointer_x;
        seat->y = client->pointer_y;
        seat_move_to(seat, x, y, client->width, client->height);
        client->pointer_x = seat->x;
        client->pointer_y = seat->y;
    }
    client->buttons = translate_buttons(buttons);
    seat_buttons(seat, buttons_down(client->server));
    seat_sync(seat);
}

void vnc_client_release(VncClient *client)
{
    GHashTableIter it;
    gpointer code;

    g_hash_table_iter_init(&it, client->keysyms);
    while (g_hash_table_iter_next(&it, NULL, &code)) {
        let_go(client, code);
    }
    g_hash_table_remove_all(client->keysyms);
    client->buttons = 0;
    seat_buttons(&client->server->seat, buttons_down(client->server));
    seat_sync(&client->server->seat);
}
