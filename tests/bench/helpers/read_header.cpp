// Reads the first BYTES of FILE: what reading a GGUF header costs at least.
#include <cstdlib>
#include <fcntl.h>
#include <iostream>
#include <unistd.h>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  std::vector<unsigned char> bytes(std::strtoull(argv[2], nullptr, 10));
  const int file = ::open(argv[1], O_RDONLY | O_CLOEXEC);
  if (file < 0 || ::pread(file, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) return 1;
  std::cout << static_cast<unsigned>(bytes.back()) << "\n";
}
