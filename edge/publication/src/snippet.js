// The browser's half of the publication Worker. A page loads it with
//
//   <script async src="https://{worker}/v1/snippet.js" data-weir-shop="demo.myshopify.com" data-weir-item="article-1"></script>
//
// and marks what it shows with data-weir-item (and -placement, -product, -publisher, -program). It sends
//
//   view        once, for the page (the script's own attributes)
//   impression  once per marked element, when half of it comes into view
//   click       on a marked element or inside of it, save on a signed link, whose click the redirect records
//   engagement  each span of time that the page was visible, in seconds; at most a day, which is what the Worker takes
//
// A page that the browser renders ahead begins when somebody sees it.
//
// Nothing is stored at the visitor's. Do-Not-Track and Global Privacy Control are a no: then nothing is sent at all.
((document, navigator) => {
  const script = document.currentScript;
  if (navigator.doNotTrack == 1 || navigator.globalPrivacyControl) return;
  // Apart from other pages and from this page opened again; an event's key must not come twice.
  const page = Math.random().toString(36).slice(2) + Date.now().toString(36);
  let count = 0;
  let since;
  let timer;
  let events = [];

  const flush = () => {
    clearTimeout(timer);
    timer = 0;
    // The Worker takes a hundred events at once.
    while (events[0]) {
      navigator.sendBeacon(
        new URL("events", script.src),
        JSON.stringify({
          shop_domain: script.dataset.weirShop,
          url: location.href,
          referrer: document.referrer,
          events: events.splice(0, 50),
        }),
      );
    }
  };
  const add = (event_type, { dataset }, engaged_seconds) => {
    events.push({
      event_type,
      event_key: page + "-" + count++,
      occurred_at: Date.now(),
      item_id: dataset.weirItem,
      placement: dataset.weirPlacement,
      product_id: dataset.weirProduct,
      publisher_id: dataset.weirPublisher,
      program_id: dataset.weirProgram,
      engaged_seconds,
    });
    timer ||= setTimeout(flush, 1000);
  };

  const start = () => {
    since = performance.now();
    add("view", script);
    addEventListener(
      "click",
      ({ target }) => {
        const item = target.closest("[data-weir-item]");
        const link = target.closest("a");
        // At once: the click may leave the page.
        if (item && !link?.href.startsWith?.(new URL("/r/", script.src))) add("click", item), flush();
      },
      true,
    );
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) add("engagement", script, Math.min((performance.now() - since) / 1000, 86400)), flush();
      else since = performance.now();
    });
    const observer = new IntersectionObserver(
      (entries) =>
        entries.forEach(({ isIntersecting, target }) => {
          if (isIntersecting) observer.unobserve(target), add("impression", target);
        }),
      { threshold: 0.5 },
    );
    const observe = () =>
      document.querySelectorAll("[data-weir-item]").forEach((item) => item == script || observer.observe(item));
    document.readyState == "loading" ? document.addEventListener("DOMContentLoaded", observe) : observe();
  };
  document.prerendering ? document.addEventListener("prerenderingchange", start, { once: true }) : start();
})(document, navigator);
