/* SPDX-License-Identifier: MIT */
/*
 * A PC kernel (multiboot) that does port accesses by the registers that a test chooses. It reads commands from COM1: a letter, then six
 * little-endian words EAX EBX ECX EDX ESI EDI, and answers with the six as they are afterwards.
 *   i inl (%dx)   o outl (%dx)   b inb (%dx)   q end by isa-debug-exit, status 0x21
 */
        .code32
        .balign 4
        .long   0x1badb002, 3, -(0x1badb002 + 3)
        .global _start
_start: movl    $stack, %esp
        movb    $'!', %al               /* ready */
        call    put
next:   call    get
        movb    %al, letter
        cmpb    $'q', %al
        je      end
        movl    $registers, %edi
        movl    $24, %ecx
1:      call    get
        stosb
        loop    1b
        movl    registers + 0, %eax
        movl    registers + 4, %ebx
        movl    registers + 8, %ecx
        movl    registers + 12, %edx
        movl    registers + 16, %esi
        movl    registers + 20, %edi
        cmpb    $'i', letter
        je      2f
        cmpb    $'o', letter
        je      3f
        inb     %dx, %al
        jmp     4f
2:      inl     %dx, %eax
        jmp     4f
3:      outl    %eax, %dx
4:      movl    %eax, registers + 0
        movl    %ebx, registers + 4
        movl    %ecx, registers + 8
        movl    %edx, registers + 12
        movl    %esi, registers + 16
        movl    %edi, registers + 20
        movl    $registers, %esi
        movl    $24, %ecx
5:      lodsb
        call    put
        loop    5b
        jmp     next

end:    movb    $0x10, %al
        movw    $0x501, %dx
        outb    %al, %dx
        hlt

/* AL from COM1; DX is lost. */
get:    movw    $0x3fd, %dx
        inb     %dx, %al
        testb   $1, %al
        jz      get
        movw    $0x3f8, %dx
        inb     %dx, %al
        ret

/* AL to COM1; AH and DX are lost. */
put:    movb    %al, %ah
        movw    $0x3fd, %dx
1:      inb     %dx, %al
        testb   $0x20, %al
        jz      1b
        movb    %ah, %al
        movw    $0x3f8, %dx
        outb    %al, %dx
        ret

        .bss
registers:
        .fill   24
letter: .fill   4
        .fill   1024
stack:
        .section .note.GNU-stack, "", @progbits
