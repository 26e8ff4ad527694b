/*
 * bcryptprimitives.dll for a wine that has none, such as wine 8: Go programs take their random bytes from
 * it. Only the test under wine uses it (../wine_test.go); Windows has its own. The bytes are those of the
 * system: RtlGenRandom of wine reads /dev/urandom.
 *
 *	x86_64-w64-mingw32-gcc -shared -O2 -o bcryptprimitives.dll bcryptprimitives.c -ladvapi32
 */
#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T n)
{
	while (n > 0) {
		ULONG some = n < 1 << 20 ? (ULONG)n : 1 << 20;

		if (!RtlGenRandom(data, some))
			ExitProcess(1); /* as Windows does: this function never fails */
		data += some;
		n -= some;
	}
	return TRUE;
}
