/* SPDX-License-Identifier: MIT */
/*
 * SDL's functions. The library is loaded when a window is wanted: with it come dozens of others, which a program without a
 * window should neither need nor wait for.
 */
#ifndef UI_SDL_API_H
#define UI_SDL_API_H

#include <SDL.h>
#include <glib.h>
#include <stdbool.h>

/* clang-format off */
#define SDL_FUNCTIONS(F)                                                                           \
    F(free) F(GetClipboardText) F(SetClipboardText) F(CreateColorCursor) F(CreateRGBSurfaceWithFormatFrom) F(CreateRenderer) F(CreateTexture)      \
    F(CreateTextureFromSurface) F(CreateWindow) F(DestroyRenderer) F(DestroyTexture)               \
    F(DestroyWindow) F(FreeCursor) F(FreeSurface) F(GetCurrentVideoDriver) F(GetDefaultCursor) F(GetDisplayDPI) F(GetError) \
    F(GL_GetProcAddress) F(GetRendererInfo) F(GetRendererOutputSize) F(GetWindowDisplayIndex) F(GetWindowID) F(GetWindowSize) F(HideWindow)\
    F(Init) F(PollEvent) F(Quit) F(RenderClear) F(RenderCopy) F(RenderPresent) F(SetCursor)        \
    F(SetHint) F(SetRelativeMouseMode) F(SetRenderDrawColor) F(SetTextureScaleMode)                \
    F(SetWindowFullscreen) F(SetWindowGrab) F(SetWindowKeyboardGrab) F(SetWindowSize)              \
    F(SetWindowTitle) F(ShowCursor) F(ShowWindow) F(StartTextInput) F(StopTextInput)               \
    F(UpdateTexture)
/* clang-format on */

typedef struct {
#define F(name) __typeof__(SDL_##name) *name;
    SDL_FUNCTIONS(F)
#undef F
} SdlApi;

extern SdlApi sdl_api;
#define SDL(name) (sdl_api.name)

/* Fills sdl_api. */
bool sdl_api_load(GError **error);
/* A function that has no place in the table; NULL: the library does not have it. */
void *sdl_api_find(const char *name);

#endif
