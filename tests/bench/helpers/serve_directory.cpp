// Serves the files below FOLDER on a port of this machine, their first 256 KiB as they are and the rest as zeros; prints the URL and ends
// with its standard input. What fetching the headers of a checkpoint is measured with.
#include <iostream>

#include "support/http_server.hpp"

int main(int argc, char** argv) try {
  if (argc != 2) return 2;
  plimsoll::test::ServedFiles files;
  files.add_directory("/model", argv[1], 256U << 10U);
  plimsoll::test::HttpServer server([&](const auto& request) { return files.answer(request); });
  std::cout << server.url() << "/model" << std::endl;
  std::cin.get();
} catch (const std::exception& e) {
  std::cerr << e.what() << "\n";
  return 1;
}
