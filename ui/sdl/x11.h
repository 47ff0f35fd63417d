/* SPDX-License-Identifier: MIT */
/* X11 below SDL's windows. */
#ifndef UI_SDL_X11_H
#define UI_SDL_X11_H

#include <SDL.h>
#include <stdbool.h>

/*
 * Xlib ends the program when its server refuses a request, as it must when another program (a window manager) has just destroyed the
 * window; with this, the first refusal is told on stderr. Before SDL is there, which hands on to the handler that it found, and puts
 * it back while it ends.
 */
void sdl_x11_ignore_errors(void);
/*
 * Xlib ends the program when its server goes, unless its handler does not return: `gone` is called then, and has to leave Xlib by
 * longjmp; nothing of SDL may be called any more. false: the window is not X11's.
 */
bool sdl_x11_watch_server(SDL_Window *window, void (*gone)(void *opaque), void *opaque);
/* The descriptor on which the server's events come; -1: the window is not X11's. */
int sdl_x11_descriptor(SDL_Window *window);

#endif
