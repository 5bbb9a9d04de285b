/*
 * pty-bridge SOCKET: makes a pseudo terminal in raw mode, prints the path of its slave, and passes
 * bytes between its master and a Unix socket. To whoever opens the slave it is what /dev/xen/xenbus
 * is in a guest: a character device that speaks the XenStore protocol and can be opened non-blocking.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

static void pass(int from, int to)
{
	char bytes[4096];
	ssize_t length = read(from, bytes, sizeof bytes);
	if (length <= 0)
		exit(0);
	for (ssize_t sent = 0; sent < length;) {
		ssize_t n = write(to, bytes + sent, length - sent);
		if (n <= 0)
			exit(1);
		sent += n;
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct termios mode;
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	int unix_socket = socket(AF_UNIX, SOCK_STREAM, 0);

	if (argc != 2 || master < 0 || grantpt(master) || unlockpt(master))
		return 2;
	/* Held open: a master whose slave nobody has open reads EIO. */
	int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	if (slave < 0 || tcgetattr(slave, &mode))
		return 3;
	cfmakeraw(&mode);
	tcsetattr(slave, TCSANOW, &mode);
	strncpy(address.sun_path, argv[1], sizeof address.sun_path - 1);
	if (connect(unix_socket, (struct sockaddr *)&address, sizeof address))
		return 4;
	printf("%s\n", ptsname(master));
	fflush(stdout);

	for (;;) {
		struct pollfd ready[2] = { { master, POLLIN, 0 }, { unix_socket, POLLIN, 0 } };
		if (poll(ready, 2, -1) < 0)
			return 5;
		if (ready[0].revents)
			pass(master, unix_socket);
		if (ready[1].revents)
			pass(unix_socket, master);
	}
}
