/* SPDX-License-Identifier: MIT */
/*
 * Windows by SDL 2: one for each head that shows something; the first can show text consoles instead. All of it runs in
 * the main loop's thread, which alone may call SDL; what displays tell from other threads is kept until then.
 */
#ifndef UI_SDL_SDL_H
#define UI_SDL_SDL_H

#include <setjmp.h>

#include <pixman.h>

#include "ui/sdl/api.h"
#include "machine/clipboard.h"
#include "ui/seat.h"
#include "ui/viewer.h"

enum {
    SDL_PACE_MS = 16,
    SDL_PACE_HIDDEN_MS = 500, /* nobody sees the window */
    SDL_PUMP_MS = 10,
    SDL_PUMP_QUIET_MS = 200, /* where the server's descriptor wakes us */
    SDL_WISH_MS = 250, /* a size that stays so long is told to the guest */
};

typedef enum { GRAB_CTRL_ALT, GRAB_SHIFT_CTRL_ALT, GRAB_RIGHT_CTRL } SdlGrabMod;

typedef struct Sdl Sdl;

typedef struct {
    Sdl *sdl;
    Display *home;    /* the head that the window is for */
    Display *display; /* what it shows; NULL: nothing */
    DisplayListener listener;
    Seat seat;
    /* Guarded by the machine lock. */
    pixman_region32_t changed;
    bool surface_changed, cursor_changed;
    /* The main loop's. */
    SDL_Window *window;
    SDL_Renderer *renderer;
    SDL_Texture *texture;
    pixman_image_t *strip; /* rows in conversion, for surfaces that are not as the texture */
    SDL_Texture *cursor_texture; /* where the guest's pointer is drawn by us */
    SDL_Cursor *cursor;          /* where it is the host's */
    int width, height;    /* of the texture */
    bool dirty;           /* the window shows something else than the texture */
    bool sized_by_user;   /* a size that the guest cannot follow: its picture is scaled */
    bool full_screen, hidden, grabbed;
    unsigned buttons;
    guint wish;           /* timer */
    char *title;          /* as set */
} SdlWindow;

struct Sdl {
    Machine *machine;
    GPtrArray *windows; /* SdlWindow * */
    SdlGrabMod grab_mod;
    ClipboardPeer clipboard;
    bool clipboard_changed; /* the guest's: the host does not have it yet */
    bool clipboard_asked;   /* the host's may be another one */
    bool close_ends, show_cursor, vsync;
    bool lost; /* the display server is gone: no call of SDL any more */
    jmp_buf *escape; /* where to go on when that happens in the middle of a call */
    unsigned sticks; /* files that were dropped and became USB sticks, ever */
    guint pump, server; /* sources: a timer, and the server's descriptor if there is one */
    unsigned pump_ms;
    guint soon; /* a look in the main loop's next turn */
    uint32_t eaten[8]; /* SDL scancodes whose release is not the guest's: bits */
};

/* Where the picture is in a window, in pixels of the screen. */
typedef struct {
    double x, y, scale;
} SdlPlace;

/*
 * sdl.c: runs what calls SDL. When the display server goes it is cut off where it is; false then, and from then on. It must
 * not take or give up the machine lock, nor anything else that has to be given back.
 */
bool sdl_guard(Sdl *sdl, void (*fn)(void *opaque), void *opaque);
/* There is something to draw. */
void sdl_hurry(Sdl *sdl);

/* window.c */
SdlWindow *sdl_window_new(Sdl *sdl, Display *home, unsigned index, GError **error);
void sdl_window_free(SdlWindow *window);
/* Under the machine lock. NULL: nothing. */
void sdl_window_show(SdlWindow *window, Display *display);
void sdl_window_set_title(SdlWindow *window);
/* Draws when there is something new (true). Without the machine lock: it may wait for the screen. */
bool sdl_window_present(SdlWindow *window);
SdlPlace sdl_window_place(const SdlWindow *window);
void sdl_window_set_full_screen(SdlWindow *window, bool full_screen);
/* A window as large as the picture times zoom. */
void sdl_window_zoom(SdlWindow *window, double zoom);
void sdl_window_resized(SdlWindow *window, bool by_user);
void sdl_window_grab(SdlWindow *window, bool grabbed);
void sdl_window_update_cursor(SdlWindow *window);
bool sdl_window_save(SdlWindow *window, char **path, GError **error);

/* events.c: under the machine lock. */
void sdl_handle_event(Sdl *sdl, const SDL_Event *event);
/* keys.c */
unsigned sdl_key_code(SDL_Scancode scancode); /* Linux's; 0: none */
uint32_t sdl_key_text(const SDL_KeyboardEvent *key); /* for text consoles, what is not text input; 0: none */

#endif
