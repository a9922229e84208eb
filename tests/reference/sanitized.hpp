// Whether a sanitizer watches: it keeps books in memory, and tests of many draws take it minutes.
#pragma once

namespace poolwise::test {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;
#elif defined(__has_feature)
inline constexpr bool sanitized = __has_feature(thread_sanitizer) || __has_feature(address_sanitizer);
#else
inline constexpr bool sanitized = false;
#endif

}  // namespace poolwise::test
