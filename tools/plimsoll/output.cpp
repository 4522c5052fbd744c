// See output.hpp.
#include "output.hpp"

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <fcntl.h>
#include <fmt/format.h>
#include <optional>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace plimsoll::cli {
namespace {

std::string reason(int number) { return std::generic_category().message(number); }

// The file that `path` means, through symbolic links, so that the link stays and its target is replaced.
std::string resolved(const std::string& path) {
  char* real = realpath(path.c_str(), nullptr);
  if (!real) return path;
  std::string out(real);
  std::free(real); // NOLINT: realpath's own
  return out;
}

mode_t default_mode() {
  const mode_t mask = umask(0);
  umask(mask);
  return 0666 & ~mask;
}

// Writes all of it and makes it last, with that mode.
int fill(int descriptor, std::string_view text, mode_t mode) {
  if (const int problem = write_all(descriptor, text); problem != 0) return problem;
  return fchmod(descriptor, mode) != 0 || fsync(descriptor) != 0 ? errno : 0;
}

// A file without a name gets one when it is complete, and takes the target's place: what ends this process before leaves nothing behind.
// Nothing where the file system has no such files.
std::optional<int> replace_by_unnamed(const std::string& target, std::string_view text, mode_t mode) {
  const std::size_t slash = target.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : target.substr(0, slash + 1);
  const int descriptor = open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
  if (descriptor < 0) return std::nullopt;
  std::optional<int> problem = fill(descriptor, text, mode);
  if (problem == 0) {
    const std::string self = fmt::format("/proc/self/fd/{}", descriptor), name = fmt::format("{}.{}", target, getpid());
    if (linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) != 0) problem.reset(); // no /proc, or the name is taken
    else if (std::rename(name.c_str(), target.c_str()) != 0) {
      problem = errno;
      unlink(name.c_str());
    }
  }
  close(descriptor);
  return problem;
}

// A new file beside the target takes its place only when it is complete. Devices and pipes are written as they are.
int write_file(const std::string& path, std::string_view text) {
  struct stat existing {};
  const bool exists = stat(path.c_str(), &existing) == 0;
  if (exists && S_ISDIR(existing.st_mode)) return EISDIR;
  if (exists && !S_ISREG(existing.st_mode)) {
    FILE* file = std::fopen(path.c_str(), "we");
    if (!file) return errno;
    const int problem = write_all(fileno(file), text);
    return std::fclose(file) != 0 && problem == 0 ? errno : problem;
  }
  const std::string target = resolved(path);
  const mode_t mode = exists ? existing.st_mode & 07777 : default_mode();
  if (const auto problem = replace_by_unnamed(target, text, mode)) return *problem;
  std::string temporary = target + ".XXXXXX";
  const int descriptor = mkstemp(temporary.data());
  if (descriptor < 0) return errno;
  int problem = fill(descriptor, text, mode);
  if (close(descriptor) != 0 && problem == 0) problem = errno;
  if (problem == 0 && std::rename(temporary.c_str(), target.c_str()) != 0) problem = errno;
  if (problem != 0) unlink(temporary.c_str());
  return problem;
}

} // namespace

Result<void> write_whole_file(const std::string& path, std::string_view text, std::string_view option) {
  const int problem = write_file(path, text);
  if (problem == 0) return {};
  return plimsoll::fail(ErrorCode::kBadRequest, fmt::format("cannot write the file: {}", reason(problem)),
                        fmt::format("{} {}", option, path));
}

int write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

int exit_code(const Error& error) {
  switch (error.code) {
  case ErrorCode::kBadConfig:
  case ErrorCode::kBadCheckpoint:
  case ErrorCode::kBadRequest:
  case ErrorCode::kUnsupportedArchitecture: return kExitUsage;
  case ErrorCode::kModelTooLarge:
  case ErrorCode::kNoRoomForKv:
  case ErrorCode::kNoPageFits:
  case ErrorCode::kOutOfMemory:
  case ErrorCode::kInsufficientBlocks:
  case ErrorCode::kOverPlan: return kExitDoesNotFit;
  case ErrorCode::kPluginFailed: return kExitPluginFailed;
  case ErrorCode::kInternal: return kExitInternal;
  }
  return kExitInternal;
}

int exit_code(const Plan& plan) {
  switch (plan.verdict) {
  case Verdict::kFits:
  case Verdict::kTight: return kExitFits;
  case Verdict::kDoesNotFit: return kExitDoesNotFit;
  case Verdict::kError: break;
  }
  return plan.error ? exit_code(*plan.error) : kExitInternal;
}

int Output::write(std::string_view text, int code) const {
  if (file.empty()) {
    const int problem = write_all(STDOUT_FILENO, text);
    if (problem == 0 || problem == EPIPE) return code;
    message(LogLevel::kError, fmt::format("cannot write the result: {} (standard output)", reason(problem)));
    return kExitInternal;
  }
  const auto written = write_whole_file(file, text, "-o");
  if (written) return code;
  Output standard = *this;
  standard.file.clear();
  return standard.fail(written.error(), "plimsoll.plan/1");
}

int Output::write_document(std::string json, int code) const {
  if (format == Format::kYaml) {
    auto yaml = document_to_yaml(json);
    if (!yaml) return fail(yaml.error(), "plimsoll.plan/1");
    json = std::move(*yaml);
  }
  return write(json + "\n", code);
}

int Output::fail(const Error& error, std::string_view schema) const {
  const int code = exit_code(error);
  if (format != Format::kTable)
    return write_document(schema == "plimsoll.plan/1" ? error_to_json(error) : failure_to_json(schema, error), code);
  message(LogLevel::kError, error.where.empty() ? error.message : fmt::format("{} ({})", error.message, error.where));
  return code;
}

void Output::message(LogLevel level, std::string_view text) const {
  if (level != LogLevel::kError && quiet) return;
  if ((level == LogLevel::kDebug || level == LogLevel::kInfo) && !verbose) return;
  Style style;
  style.colour = error_colour(colour);
  const std::string_view word = level == LogLevel::kError ? "error" : level == LogLevel::kWarning ? "warning" : "note";
  const Paint paint = level == LogLevel::kError ? Paint::kRed : level == LogLevel::kWarning ? Paint::kYellow : Paint::kDim;
  // A message that cannot be written has nowhere else to go.
  static_cast<void>(
      write_all(STDERR_FILENO, fmt::format("plimsoll: {} {}\n", style.paint(paint, fmt::format("{}:", word)), printable(text))));
}

} // namespace plimsoll::cli
