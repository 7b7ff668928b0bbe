# The dashboard: filters, a scatter plot and a table of the same cars.
suppressPackageStartupMessages(library(shiny))
source("/opt/cars/cars.R")
options(bitmapType = "cairo")

colours <- c("4" = "#1b6ca8", "6" = "#b35900", "8" = "#8b1a4f")
shapes <- c("4" = 16, "6" = 17, "8" = 15)
range_of <- function(id, label, values, step) {
  ends <- c(floor(min(values) / step), ceiling(max(values) / step)) * step
  sliderInput(id, label, ends[1], ends[2], ends, step = step)
}

# Made for each visitor, since the address says where the filters stood.
page <- function() fluidPage(
  lang = "en",
  title = "Cars of 1974",
  tags$style(".irs-from, .irs-to, .irs-single { background-color: #1b5e91 !important }"),
  # When the task has ended, as at each deploy: load the page again from another one as soon as there is one.
  tags$script(HTML("
    $(document).on('shiny:disconnected', () => setInterval(() => fetch('readyz', {cache: 'no-store'}).then(
      (answer) => answer.ok && location.reload(), () => null), 500));
  ")),
  titlePanel("Cars of 1974"),
  sidebarLayout(
    sidebarPanel(
      range_of("mpg", "Miles on a gallon", cars$mpg, 0.5),
      checkboxGroupInput("cyl", "Cylinders", c(4, 6, 8), c(4, 6, 8), inline = TRUE),
      range_of("wt", "Weight in 1000 lbs", cars$wt, 0.1)
    ),
    mainPanel(
      p(textOutput("count", inline = TRUE), role = "status"),
      plotOutput("plot"),
      tableOutput("table")
    )
  )
)

plain <- function(text, status = 200L) httpResponse(status, "text/plain", paste0(text, "\n"))
ui <- function(req) {
  switch(req$PATH_INFO,
    "/" = page(),
    "/healthz" = plain("ok"),
    "/readyz" = if (is_ready()) plain("ready") else plain("not ready", 503L),
    plain("Nothing is here.", 404L)
  )
}

server <- function(input, output, session) {
  # Where the filters stand goes into the address: for whoever keeps it, and for a page that is loaded again.
  observe({
    reactiveValuesToList(input)
    session$doBookmark()
  })
  onBookmarked(updateQueryString)
  within <- function(values, ends) values >= ends[1] & values <= ends[2]
  chosen <- reactive({
    cars[within(cars$mpg, input$mpg) & cars$cyl %in% input$cyl & within(cars$wt, input$wt), ]
  })
  output$count <- renderText(sprintf("%d of %d cars", nrow(chosen()), nrow(cars)))
  output$plot <- renderPlot(
    {
      kind <- as.character(chosen()$cyl)
      par(mar = c(4.5, 4.5, 1, 1), family = "DejaVu Sans")
      plot(
        chosen()$wt, chosen()$mpg,
        xlim = range(cars$wt), ylim = range(cars$mpg), pch = shapes[kind], col = colours[kind], cex = 1.6,
        xlab = "Weight in 1000 lbs", ylab = "Miles on a gallon", las = 1, bty = "l"
      )
      legend("topright", paste(names(colours), "cylinders"), pch = shapes, col = colours, bty = "n")
    },
    alt = reactive(sprintf("Miles on a gallon by weight of %d cars; the table has the same.", nrow(chosen())))
  )
  output$table <- renderTable(
    transform(chosen(), cyl = as.integer(cyl), hp = as.integer(hp), check.names = FALSE)[
      c("car model", "mpg", "cyl", "wt", "hp")
    ],
    digits = 1
  )
}

runApp(
  shinyApp(ui, server, uiPattern = ".*", enableBookmarking = "url"),
  host = "0.0.0.0", port = as.integer(Sys.getenv("CARS_PORT", "80")), launch.browser = FALSE, quiet = TRUE
)
