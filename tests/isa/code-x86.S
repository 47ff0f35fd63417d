/* SPDX-License-Identifier: MIT */
/*
 * Code that changes itself, the same in real, protected and long mode: what runs is what memory holds at that moment. Every
 * part goes around ROUNDS times. What is written to the end port is 0, or the number of the part that ran something else.
 *
 * A flat binary for 0x8000, which begins with the entries of the modes.
 */
        .set ROUNDS, 60
        .set END_PORT, 0x5f4
        .set DMA_PORT, 0x600      /* device: 32 bits are an address, 8 bits a byte that it stores there */
        .set ALIAS, 0x40000000    /* the same memory again, in long mode */
        /* For enter_split, in place of ALIAS: two pages of data that are not neighbours, and one of code; its entry, and what it shows. */
        .set SPLIT_DATA, 0x40000000
        .set SPLIT_CODE, 0x40002000
        .set SPLIT_ENTRY, 0x3ff3010
        .set SPLIT_COPY, 0x400000
        .set SPLIT_OTHER_COPY, 0x401000

        .text
        .long   enter_real, enter_protected, enter_long, enter_other, wait_for_other, enter_split

/* The number of a part is in BL, that of the round in CL. */
.macro part number
        mov     $\number, %bl
.endm

/* AL is what has run last. */
.macro expect
        cmp     %cl, %al
        jne     failed\@
        jmp     passed\@
failed\@:
        mov     %bl, %al
        mov     $END_PORT, %dx
        out     %al, %dx
        jmp     .
passed\@:
.endm

.macro parts mode
        mov     $ROUNDS, %cl
round_\mode:
        part    1 /* the next instruction */
        movb    %cl, 1f + 1
1:      mov     $0, %al
        expect

        part    2 /* a later one of the unit */
        movb    %cl, 1f + 1
        mov     $0, %ah
        add     $1, %ah
1:      mov     $0, %al
        expect

        part    3 /* itself: what it adds is its own last byte, which doubles */
        movb    $1, 2f - 1
        mov     $3, %ch
1:      addb    $1, 2f - 1
2:      dec     %ch
        jnz     1b
        mov     2b - 1, %al
        sub     $8, %al
        add     %cl, %al
        expect

        part    15 /* a loop, for its next passes */
        movb    $0, 1f + 1
        mov     $9, %ch
1:      mov     $0, %al
        movb    %cl, 1b + 1
        dec     %ch
        jnz     1b
        expect

        part    4 /* locked, exchanged, compared and exchanged */
        lock incb 1f + 1
1:      mov     $0, %al
        mov     %al, %ah
        movb    %cl, %al
        xchg    %al, 1f + 1
1:      mov     $0, %al
        expect
        mov     1f + 1, %al
        lock cmpxchg %cl, 1f + 1
1:      mov     $0, %al
        expect

        part    5 /* a string over what follows */
        mov     $0x90, %al
        mov     %cl, %ah
.ifc \mode, real
        mov     $1f, %di
        mov     $8, %cx
.else
        mov     $1f, %edi
        mov     $8, %ecx
.endif
        rep stosb
        mov     %ah, %cl
1:      jmp     2f
        .skip   6, 0xf4
        mov     %cl, %al
        jmp     3f
2:      mov     $0, %al
3:      expect
        movb    $0xeb, 1b /* jmp 2f again */
        movb    $2b - 1b - 2, 1b + 1

        part    6 /* a function, in another page */
        movb    %cl, function_\mode + 1
        call    function_\mode
        expect

        part    7 /* an instruction over two pages, by its end */
        movb    %cl, over_\mode + 1
        call    over_\mode
        expect

        part    8 /* the same by a store over two pages */
        mov     $0xb0, %ah
        mov     %ah, %al
        mov     %cl, %ah
        mov     %ax, over_\mode
        call    over_\mode
        expect

        part    9 /* where a jump leads */
        movb    $3f - 2f, 2f - 1
        mov     $0, %al
        .byte   0xeb, 0 /* jmp 3f */
2:      mov     $1, %al
3:      add     %cl, %al
        expect

        part    10 /* by a device, whose DMA is over when OUT is; seen behind a jump at the latest */
.ifc \mode, real
        mov     $0, %eax
        mov     $1f + 1, %ax
.else
        mov     $1f + 1, %eax
.endif
        mov     $DMA_PORT, %dx
        out     %eax, %dx
        mov     %cl, %al
        out     %al, %dx
        jmp     1f
1:      mov     $0, %al
        expect

.ifnc \mode, real
        part    11 /* by a vector register */
        movb    %cl, image_\mode + 1
        movups  image_\mode, %xmm0
        movups  %xmm0, 1f
1:      mov     $0, %al
        .skip   14, 0x90
        expect

        part    12 /* by the stack */
        mov     %esp, %ebp
        mov     $1f + 1 + (8 - 4 * (\mode\()_is_32)), %esp
.if \mode\()_is_32
        mov     $0x90909090, %eax
        mov     %cl, %al
        push    %eax
.else
        mov     $0x9090909090909090, %rax
        mov     %cl, %al
        push    %rax
.endif
1:      mov     $0, %al
        .skip   8, 0x90
        mov     %ebp, %esp
        expect
        jmp     4f
        .balign 16
image_\mode:
        mov     $0, %al
        .skip   14, 0x90
4:
.endif

.ifc \mode, long
        part    13 /* by another address */
        movb    %cl, ALIAS + 1f + 1
1:      mov     $0, %al
        expect

        part    14 /* at another address, by the first */
        movb    %cl, function_long + 1
        mov     $ALIAS + function_long, %edi
        call    *%rdi
        expect
.endif
        dec     %cl
        jnz     round_\mode
        mov     $0, %al
        mov     $END_PORT, %dx
        out     %al, %dx
        jmp     .
.endm

.macro functions mode
        .balign 4096
function_\mode:
        mov     $0, %al
        ret
        .skip   4095 - (. - function_\mode), 0xf4
over_\mode:
        mov     $0, %al
        ret
.endm

        .set    protected_is_32, 1
        .set    long_is_32, 0

        .code16
enter_real:
        parts   real
        functions real
        .code32
        .balign 16
enter_protected:
        parts   protected
        functions protected
        .code64
        .balign 16
enter_long:
        parts   long
        functions long

/* Another processor's: it changes a function that this one calls until it returns what was written last. */
        .balign 4096
enter_other:
        mov     $1, %al
1:      mov     %al, patched_by_other + 1
        mov     $200, %ecx
        loop    .
        inc     %al
        cmp     $100, %al
        jbe     1b
2:      pause
        jmp     2b
        .balign 4096
patched_by_other:
        mov     $0, %al
        ret
wait_for_other:
        mov     $0, %bl
1:      call    patched_by_other
        cmp     %bl, %al /* never older than what was seen before */
        jb      2f
        mov     %al, %bl
        cmp     $100, %al
        jne     1b
        mov     $0, %al
        jmp     3f
2:      mov     $20, %al
3:      mov     $END_PORT, %dx
        out     %al, %dx
        jmp     .

/*
 * A function whose accesses share a lookup that cannot succeed, since they lie in both pages of data: while it stays as it is, when
 * it is changed, and when another page takes its place.
 */
.macro calls add
        mov     $ROUNDS, %ecx
1:      call    *%rsi
        add     $\add, %r8
        dec     %ecx
        jnz     1b
        mov     (%rbx), %rax
        cmp     %r8, %rax
        jne     split_failed
.endm
enter_split:
        cld
        mov     $split_function, %esi
        mov     $SPLIT_COPY, %edi
        mov     $split_end - split_function, %ecx
        rep movsb
        mov     $split_function, %esi
        mov     $SPLIT_OTHER_COPY, %edi
        mov     $split_end - split_function, %ecx
        rep movsb
        movb    $7, SPLIT_OTHER_COPY + split_added - split_function
        mov     $SPLIT_DATA + 0xff8, %ebx
        mov     $SPLIT_CODE, %esi
        xor     %r8d, %r8d
        mov     $21, %r9b /* the part */
        calls   3
        mov     $22, %r9b
        movb    $5, SPLIT_COPY + split_added - split_function
        calls   5
        mov     $23, %r9b
        movq    $SPLIT_OTHER_COPY + 7, SPLIT_ENTRY
        invlpg  (%rsi)
        calls   7
        mov     $0, %r9b
split_failed:
        mov     %r9b, %al
        mov     $END_PORT, %dx
        out     %al, %dx
        jmp     .
split_function:
        mov     (%rbx), %rax
        mov     8(%rbx), %rdx
        lea     3(%rax, %rdx), %rax
        .set    split_added, . - 1
        mov     %rax, (%rbx)
        ret
split_end:
